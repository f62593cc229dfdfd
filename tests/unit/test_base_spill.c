/* The budget: what is counted, what spills and reads back the same, what is refused and in which words. */
#include "unit/exhaust.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static char folder[] = "spill-XXXXXX"; /* where the tests run: on a disk, where /tmp may be memory */
static size_t held;                    /* what the process has before a budget */

static void begin(size_t mib) { /* room for so much, whatever a sanitizer takes */
  OK(moon_memory_limit((size_t)1 << 40, folder));
  held = moon_memory_now().used;
  OK(moon_memory_limit((held + mib * MIB) / 3 * 4, folder));
  held = moon_memory_now().used;
}
static void end(void) {
  moon_memory m = moon_memory_now();
  assert_int_equal(m.spilled, 0);
  OK(moon_memory_limit(0, NULL));
}
static size_t room(void) { /* for large blocks */
  moon_memory m = moon_memory_now();
  return m.limit / 4 * 3 - m.used;
}

static bool all(const unsigned char *bytes, size_t n, unsigned char value) {
  for (size_t i = 0; i < n; i++)
    if (bytes[i] != value) return false;
  return true;
}

static void blocks_are_counted_and_given_back(void **state) {
  (void)state;
  begin(48);
  size_t before = moon_memory_now().used;
  void *a = moon_alloc(3 * MIB), *b = moon_calloc(1000, 100), *c = moon_alloc_aligned(5000);
  size_t now = moon_memory_now().used - before;
  assert_true(now >= 3 * MIB + 105000 && now < 3 * MIB + 105000 + 3 * 8192);
  assert_int_equal((uintptr_t)c % 64, 0);
  a = moon_realloc(a, 100);
  assert_true(moon_memory_now().used - before < 105000 + 3 * 8192);
  moon_free(a), moon_free(b), moon_free(c), moon_free(NULL);
  assert_int_equal(moon_memory_now().used, before);
  assert_true(moon_memory_now().peak >= before + 3 * MIB);
  assert_int_equal(moon_memory_now().spilled_peak, 0);
  end();
}

static void what_does_not_fit_spills_and_is_zeroed_where_asked(void **state) {
  (void)state;
  begin(48);
  size_t n = room() + MIB, used = moon_memory_now().used;
  unsigned char *zeroed = moon_calloc(n, 1), *aligned = moon_alloc_aligned(n), *plain = moon_alloc(n);
  assert_non_null(zeroed), assert_non_null(aligned), assert_non_null(plain);
  assert_true(all(zeroed, n, 0) && all(aligned, n, 0));
  memset(zeroed, 1, n), memset(aligned, 2, n), memset(plain, 3, n);
  assert_true(all(zeroed, n, 1) && all(aligned, n, 2) && all(plain, n, 3));
  assert_int_equal(moon_memory_now().used, used); /* not a byte of it is in the budget */
  assert_true(moon_memory_now().spilled >= 3 * n);
  moon_free(aligned); /* a hole in the middle */
  assert_true(all(zeroed, n, 1) && all(plain, n, 3));
  aligned = moon_calloc(1, n);
  assert_true(all(aligned, n, 0));
  moon_free(plain), moon_free(zeroed), moon_free(aligned);
  end();
}

static void spilled_pages_can_be_dropped_and_come_back(void **state) {
  (void)state;
  begin(48);
  size_t n = room() + MIB;
  unsigned char *block = moon_alloc(n);
  memset(block, 9, n);
  assert_int_equal(madvise(block, n, MADV_DONTNEED), 0); /* what reclaim does; anonymous memory would be zeros */
  assert_true(all(block, n, 9));
  moon_free(block);
  end();
}

static void a_small_block_may_use_the_last_quarter_and_no_more(void **state) {
  (void)state;
  begin(16);
  enum { EACH = 64 * 1024, MOST = 1 << 16 };
  void **blocks = moon_alloc(MOST * sizeof *blocks);
  size_t n = 0;
  while ((blocks[n] = moon_alloc(EACH))) n++;
  moon_memory m = moon_memory_now();
  assert_true(m.used <= m.limit && m.used > m.limit - EACH - 4096);
  moon_status status = moon_fail(MOON_ENOMEM, "no memory for a text of %d bytes", EACH);
  assert_non_null(strstr(status.message, "no memory for a text of 65536 bytes: the memory budget of "));
  assert_non_null(strstr(status.message, "MiB is used up"));
  status = moon_fail(MOON_ENOMEM, "another"); /* is said once */
  assert_string_equal(status.message, "another");
  assert_int_equal(m.spilled, 0);
  void *large = moon_alloc(2 * MIB); /* still has the disk */
  assert_non_null(large);
  moon_free(large);
  while (n) moon_free(blocks[--n]);
  moon_free(blocks);
  end();
}

/* Arrays that grow by turns, in and out of the file, against a copy that was never there. */
static void random_lives_of_blocks_keep_their_bytes(void **state) {
  (void)state;
  enum { BLOCKS = 6 };
  begin(18);
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  unsigned char *blocks[BLOCKS] = {0};
  size_t sizes[BLOCKS] = {0};
  size_t spills = 0;
  for (int round = 0; round < 400; round++) {
    size_t i = moon_rng_below(&rng, BLOCKS), n = 1 + moon_rng_below(&rng, 24 * MIB);
    if (moon_rng_below(&rng, 4) == 0) n = 1 + moon_rng_below(&rng, 4000);
    size_t kept = sizes[i] < n ? sizes[i] : n;
    if (moon_rng_below(&rng, 5) == 0) {
      moon_free(blocks[i]);
      blocks[i] = moon_calloc(1, n);
      assert_non_null(blocks[i]);
      for (size_t at = 0; at < n; at += 1021) assert_int_equal(blocks[i][at], 0);
    } else {
      blocks[i] = moon_realloc(blocks[i], n);
      assert_non_null(blocks[i]);
      for (size_t at = 0; at < kept; at += 1021) assert_int_equal(blocks[i][at], i + 1);
    }
    for (size_t at = 0; at < n; at += 1021) blocks[i][at] = (unsigned char)(i + 1);
    sizes[i] = n;
    moon_memory m = moon_memory_now();
    assert_true(m.used <= m.limit);
    spills += m.spilled > 0;
  }
  assert_true(spills > 20 && spills < 400);
  for (int i = 0; i < BLOCKS; i++) moon_free(blocks[i]);
  assert_int_equal(moon_memory_now().used, held);
  end();
}

static void *live(void *self) {
  moon_rng rng;
  moon_rng_seed(&rng, 9, *(uint64_t *)self);
  unsigned char *block = NULL;
  size_t sound = 0;
  for (int round = 0; round < 60; round++) {
    size_t n = 1 + moon_rng_below(&rng, round % 3 ? 6 * MIB : 9000);
    unsigned char *fresh = moon_realloc(block, n), first = fresh ? fresh[0] : 0;
    if (!fresh) break;
    block = fresh;
    sound += !round || first == (unsigned char)(*(uint64_t *)self + 1);
    memset(block, (int)(*(uint64_t *)self + 1), n);
  }
  moon_free(block);
  return (void *)sound;
}

static void threads_share_a_budget(void **state) {
  (void)state;
  enum { THREADS = 4 };
  begin(8);
  pthread_t threads[THREADS];
  uint64_t ids[THREADS] = {0, 1, 2, 3};
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, live, &ids[i]), 0);
  for (int i = 0; i < THREADS; i++) {
    void *sound;
    pthread_join(threads[i], &sound);
    assert_int_equal((size_t)sound, 60);
  }
  assert_true(moon_memory_now().spilled_peak > 0);
  assert_int_equal(moon_memory_now().used, held);
  end();
}

static void a_full_disk_is_an_error_and_not_a_signal(void **state) {
  (void)state;
  begin(48);
  unsigned char *kept = moon_alloc(room() + MIB);
  memset(kept, 7, MIB);
  size_t spilled = moon_memory_now().spilled, cap = 16;
  void *items = kept;
  REFUSED(MOON_ENOMEM, "has no room to spill", moon_grow(&items, &cap, (size_t)1 << 55, 1));
  REFUSED(MOON_ENOMEM, folder, moon_grow(&items, &cap, (size_t)1 << 55, 1));
  assert_ptr_equal(items, kept);
  assert_int_equal(cap, 16);
  assert_null(moon_alloc((size_t)1 << 55));
  assert_null(moon_alloc(SIZE_MAX - 4096));
  assert_null(moon_calloc(SIZE_MAX / 2, 3));
  assert_int_equal(moon_memory_now().spilled, spilled);
  assert_true(all(kept, MIB, 7));
  moon_free(kept);
  end();
}

static void budgets_that_cannot_work_are_refused(void **state) {
  (void)state;
  REFUSED(MOON_ELIMIT, "a memory budget of 64 KiB is too small: the process has ", moon_memory_limit(64 << 10, folder));
  REFUSED(MOON_EIO, "/nowhere: no file to spill to", moon_memory_limit((size_t)1 << 40, "/nowhere"));
  if (!access("/dev/shm", W_OK)) REFUSED(MOON_EINVAL, "set TMPDIR", moon_memory_limit((size_t)1 << 40, "/dev/shm"));
  assert_int_equal(moon_memory_now().limit, 0);
  begin(16);
  void *block = moon_alloc(room() + MIB);
  REFUSED(MOON_EINVAL, "while data is spilled", moon_memory_limit(0, NULL));
  moon_free(block);
  end();
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : 1;
}
static int remove_folder(void **state) { /* which fails where a file was left in it */
  (void)state;
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_counted_and_given_back),
                                     cmocka_unit_test(what_does_not_fit_spills_and_is_zeroed_where_asked),
                                     cmocka_unit_test(spilled_pages_can_be_dropped_and_come_back),
                                     cmocka_unit_test(a_small_block_may_use_the_last_quarter_and_no_more),
                                     cmocka_unit_test(random_lives_of_blocks_keep_their_bytes),
                                     cmocka_unit_test(threads_share_a_budget),
                                     cmocka_unit_test(a_full_disk_is_an_error_and_not_a_signal),
                                     cmocka_unit_test(budgets_that_cannot_work_are_refused)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
