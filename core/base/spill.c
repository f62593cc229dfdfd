/* spill.c - a budget for what the process allocates, and a file for what does not fit in it.
 *
 * Every block that moon_alloc & co hand out is counted, so no holder of data keeps books of its own. A large block that would
 * pass three quarters of the budget becomes pages of one unlinked file: the system writes them out and drops them where memory is
 * wanted, and the file is gone with the process however that ends. Disk is reserved before a page of it can be touched, since a
 * disk that is full then would be a SIGBUS. The last quarter is for small blocks, which cannot spill and are refused past the
 * whole.
 *
 * This is state of the process, as its heap is; unless a budget is set none of it is used. */
#include "base/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { LEAST = 1 << 20 }; /* bytes of the smallest block that spills */

typedef struct extent { /* a block in the file */
  void *at;
  size_t bytes; /* whole pages */
  off_t offset;
} extent;

static atomic_size_t limit, spilled, spilled_peak, extent_count;
static atomic_llong used, peak; /* signed: blocks from before the budget are given back, too */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the following */
static int file = -1;
static char folder[256];
static off_t file_end; /* offsets are never used twice: what is freed is a hole */
static extent *extents;
static size_t extents_cap;

static _Thread_local char reason[sizeof folder + 200];

bool moon_spill_active(void) {
  return atomic_load_explicit(&limit, memory_order_relaxed) || atomic_load_explicit(&extent_count, memory_order_relaxed);
}

void moon_spill_reason(char *out, size_t size) {
  snprintf(out, size, "%s", reason);
  reason[0] = 0;
}

static const char *size_text(size_t bytes, char out[32]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  int unit = 0;
  for (; value >= 1024 && unit < 4; unit++) value /= 1024;
  snprintf(out, 32, value == (double)(size_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return out;
}

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

static moon_status open_file(const char *where, int *out) {
  struct statfs system;
  int fd = open(where, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* a file system without nameless files */
    char path[sizeof folder + 32];
    snprintf(path, sizeof path, "%s/moonshelf-spill-XXXXXX", where);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
  }
  if (fd < 0) return moon_fail(MOON_EIO, "%s: no file to spill to: %s", where, strerror(errno));
  if (!fstatfs(fd, &system) && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC)) {
    close(fd);
    return moon_fail(MOON_EINVAL, "%s is itself memory (tmpfs), so nothing can spill there; set TMPDIR to a folder on a disk",
                     where);
  }
  *out = fd;
  return moon_ok();
}

static size_t whole_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

/* Disk for [from, to) of the file; where there is none, the file is as before. Answers an errno. */
static int reserve(off_t from, off_t to) {
  int code;
  do code = posix_fallocate(file, from, to - from);
  while (code == EINTR);
  if (code && ftruncate(file, from)) code = errno;
  return code;
}

static void refuse_disk(size_t bytes, int code) {
  char budget[32], wanted[32];
  snprintf(reason, sizeof reason, "past the memory budget of %s, and %s has no room to spill %s: %s",
           size_text(atomic_load(&limit), budget), folder, size_text(bytes, wanted), strerror(code));
}

static void count_spilled(size_t more, size_t less) {
  size_t now = atomic_fetch_add(&spilled, more - less) + more - less;
  if (now > atomic_load(&spilled_peak)) atomic_store(&spilled_peak, now); /* under the lock */
}

/* The place of a block in the list, under the lock; MOON_NONE where it is none. Only page-aligned ones can be. */
static size_t find_extent(const void *at) {
  for (size_t i = atomic_load(&extent_count); i; i--) /* the newest first */
    if (extents[i - 1].at == at) return i - 1;
  return MOON_NONE;
}

static bool may_be_extent(const void *at) {
  return at && atomic_load_explicit(&extent_count, memory_order_relaxed) && !((uintptr_t)at & 4095);
}

/* Under the lock; zeroed. */
static void *extent_new(size_t bytes) {
  size_t n = atomic_load(&extent_count), whole = whole_pages(bytes);
  if (n == extents_cap) {
    extent *more = realloc(extents, (n + 64) * 2 * sizeof *extents);
    if (!more) return NULL;
    extents = more;
    extents_cap = (n + 64) * 2;
  }
  int code = whole > INT64_MAX - (size_t)file_end ? EFBIG : reserve(file_end, file_end + (off_t)whole);
  void *at = code ? MAP_FAILED : mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file, file_end);
  if (at == MAP_FAILED) {
    refuse_disk(whole, code ? code : errno);
    if (!code && ftruncate(file, file_end)) reason[0] = 0;
    return NULL;
  }
  extents[n] = (extent){at, whole, file_end};
  file_end += (off_t)whole;
  count_spilled(whole, 0);
  atomic_store(&extent_count, n + 1);
  return at;
}

static void extent_drop(size_t which) { /* under the lock */
  extent e = extents[which];
  size_t left = atomic_load(&extent_count) - 1;
  extents[which] = extents[left];
  atomic_store(&extent_count, left);
  munmap(e.at, e.bytes);
  if (e.offset + (off_t)e.bytes == file_end && !ftruncate(file, e.offset))
    file_end = e.offset;
  else
    fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, e.offset,
              (off_t)e.bytes); /* its disk back; at worst, at the end */
  count_spilled(0, e.bytes);
  if (left || atomic_load(&limit)) return;
  close(file);
  file = -1;
}

/* The last block of the file grows where it lies; another is copied. Under the lock. */
static void *extent_grow(size_t which, size_t bytes) {
  extent *e = &extents[which];
  size_t whole = whole_pages(bytes);
  if (whole <= e->bytes) return e->at;
  bool last = e->offset + (off_t)e->bytes == file_end && whole <= (size_t)(INT64_MAX - e->offset);
  if (!last) {
    void *fresh = extent_new(bytes);
    if (!fresh) return NULL;
    memcpy(fresh, extents[which].at, extents[which].bytes);
    extent_drop(which);
    return fresh;
  }
  int code = reserve(file_end, e->offset + (off_t)whole);
  void *at = code ? MAP_FAILED : mremap(e->at, e->bytes, whole, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) {
    refuse_disk(whole, code ? code : errno);
    return NULL;
  }
  count_spilled(whole, e->bytes);
  *e = (extent){at, whole, e->offset};
  file_end = e->offset + (off_t)whole;
  return at;
}

/* ---- the heap, counted --------------------------------------------------------------------------------------------------- */

static void count(long long bytes) {
  long long now = atomic_fetch_add(&used, bytes) + bytes, before = atomic_load(&peak);
  while (before < now && !atomic_compare_exchange_weak(&peak, &before, now)) continue;
}

typedef enum verdict { FITS, SPILLS, REFUSED } verdict;

/* Where `more` bytes go, of a block of `bytes`. */
static verdict judge(size_t bytes, size_t more) {
  size_t most = atomic_load(&limit);
  long long now = atomic_load(&used);
  size_t taken = now > 0 ? (size_t)now : 0;
  bool large = bytes >= LEAST;
  size_t bound = large ? most / 4 * 3 : most;
  if (!most || (taken <= bound && more <= bound - taken)) return FITS;
  if (large) return SPILLS;
  char budget[32];
  snprintf(reason, sizeof reason, "the memory budget of %s is used up", size_text(most, budget));
  return REFUSED;
}

static void *counted(void *memory) {
  if (memory) count((long long)malloc_usable_size(memory));
  return memory;
}

void *moon_spill_alloc(size_t bytes, moon_block kind) {
  verdict v = judge(bytes, bytes);
  if (v == REFUSED) return NULL;
  if (v == SPILLS) {
    pthread_mutex_lock(&lock);
    void *at = extent_new(bytes);
    pthread_mutex_unlock(&lock);
    return at;
  }
  if (kind == MOON_BLOCK_PLAIN) return counted(malloc(bytes));
  if (kind == MOON_BLOCK_ZEROED) return counted(calloc(1, bytes));
  void *memory = aligned_alloc(64, bytes);
  return counted(memory ? memset(memory, 0, bytes) : NULL);
}

/* A block of the heap moves to the file once it is too large for the budget. */
static void *heap_realloc(void *memory, size_t bytes) {
  size_t before = memory ? malloc_usable_size(memory) : 0;
  verdict v = judge(bytes, bytes > before ? bytes - before : 0);
  if (v == REFUSED) return NULL;
  if (v == FITS) {
    void *fresh = realloc(memory, bytes);
    if (fresh) count((long long)malloc_usable_size(fresh) - (long long)before);
    return fresh;
  }
  pthread_mutex_lock(&lock);
  void *fresh = extent_new(bytes);
  pthread_mutex_unlock(&lock);
  if (!fresh || !memory) return fresh;
  memcpy(fresh, memory, before < bytes ? before : bytes);
  moon_spill_free(memory);
  return fresh;
}

void *moon_spill_realloc(void *memory, size_t bytes) {
  if (may_be_extent(memory)) {
    pthread_mutex_lock(&lock);
    size_t which = find_extent(memory);
    void *fresh = which == MOON_NONE ? NULL : extent_grow(which, bytes);
    pthread_mutex_unlock(&lock);
    if (which != MOON_NONE) return fresh;
  }
  return heap_realloc(memory, bytes);
}

void moon_spill_free(void *memory) {
  if (may_be_extent(memory)) {
    pthread_mutex_lock(&lock);
    size_t which = find_extent(memory);
    if (which != MOON_NONE) extent_drop(which);
    pthread_mutex_unlock(&lock);
    if (which != MOON_NONE) return;
  }
  if (memory) count(-(long long)malloc_usable_size(memory));
  free(memory);
}

/* ---- the budget ---------------------------------------------------------------------------------------------------------- */

/* Anonymous memory of the process in bytes: what it holds already, and what libraries took for themselves. */
static size_t resident(void) {
  char line[128];
  size_t kib = 0;
  FILE *status = fopen("/proc/self/status", "re");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "RssAnon: %zu", &kib) == 1) break;
  if (status) fclose(status);
  return kib * 1024;
}

moon_status moon_memory_limit(size_t bytes, const char *where) {
  int fd = -1;
  size_t held = resident();
  char budget[32], have[32];
  if (bytes && strlen(where) >= sizeof folder)
    return moon_fail(MOON_EINVAL, "the folder to spill to has a name of over %zu bytes", sizeof folder - 1);
  if (bytes && bytes / 4 * 3 <= held)
    return moon_fail(MOON_ELIMIT, "a memory budget of %s is too small: the process has %s before it begins",
                     size_text(bytes, budget), size_text(held, have));
  if (atomic_load(&extent_count)) return moon_fail(MOON_EINVAL, "the memory budget cannot change while data is spilled");
  if (bytes) MOON_TRY(open_file(where, &fd));
  pthread_mutex_lock(&lock);
  if (file >= 0) close(file);
  file = fd;
  file_end = 0;
  if (bytes) snprintf(folder, sizeof folder, "%s", where);
  free(extents);
  extents = NULL;
  extents_cap = 0;
  pthread_mutex_unlock(&lock);
  mallopt(M_MMAP_THRESHOLD, LEAST); /* fixed, so that large blocks go back to the system when they are freed */
  atomic_store(&used, (long long)held);
  atomic_store(&peak, (long long)held);
  atomic_store(&spilled_peak, 0);
  atomic_store(&limit, bytes);
  reason[0] = 0;
  return moon_ok();
}

moon_memory moon_memory_now(void) {
  long long now = atomic_load(&used), most = atomic_load(&peak);
  return (moon_memory){.limit = atomic_load(&limit),
                       .used = now > 0 ? (size_t)now : 0,
                       .peak = most > 0 ? (size_t)most : 0,
                       .spilled = atomic_load(&spilled),
                       .spilled_peak = atomic_load(&spilled_peak)};
}
