/* Files and folders on a real file system: what is written is there, what is exchanged is exchanged, what is not ours is left
 * alone. */
#include "unit/exhaust.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/moonshelf-file-XXXXXX";

static const char *at(const char *name) { /* a few live at once */
  static char paths[8][200];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, 200, "%s/%s", top, name);
  return path;
}

static void check_file(const char *path, const char *expected) {
  moon_buf buf = {0};
  OK(moon_file_read(path, 0, &buf));
  assert_int_equal(buf.n, strlen(expected));
  assert_string_equal(buf.data, expected);
  moon_buf_free(&buf);
}

static void put(const char *path, const char *text) {
  OK(moon_file_write(path, text, strlen(text)));
}

static void what_is_written_is_read(void **state) {
  (void)state;
  put(at("a"), "hello");
  check_file(at("a"), "hello");
  put(at("a"), "");
  check_file(at("a"), "");
  moon_buf big = {0}, back = {0};
  for (int i = 0; i < 100000; i++) moon_buf_printf(&big, "%d\n", i);
  OK(moon_file_write(at("big"), big.data, big.n));
  moon_buf_puts(&back, "kept,");
  OK(moon_file_read(at("big"), big.n, &back)); /* appends; a limit that is just met is fine */
  assert_int_equal(back.n, big.n + 5);
  assert_memory_equal(back.data + 5, big.data, big.n);
  moon_buf_reset(&back);
  moon_buf_puts(&back, "kept");
  REFUSED(MOON_ELIMIT, "larger than", moon_file_read(at("big"), big.n - 1, &back));
  assert_string_equal(back.data, "kept"); /* as before */
  moon_buf_free(&big);
  moon_buf_free(&back);
}

static void refusals_name_the_file(void **state) {
  (void)state;
  moon_buf buf = {0};
  REFUSED(MOON_ENOTFOUND, "nowhere", moon_file_read(at("nowhere"), 0, &buf));
  REFUSED(MOON_EIO, top, moon_file_read(top, 0, &buf)); /* a folder */
  REFUSED(MOON_ENOTFOUND, "no/such", moon_file_write(at("no/such/file"), "x", 1));
  REFUSED(MOON_EIO, top, moon_file_write(top, "x", 1));
  if (moon_file_exists("/dev/full")) REFUSED(MOON_EIO, "/dev/full", moon_file_write("/dev/full", "x", 1));
  assert_false(moon_file_exists(at("nowhere")));
  moon_buf_free(&buf);
}

static void folders_are_made_with_their_parents(void **state) {
  (void)state;
  OK(moon_dir_make(at("x/y/z")));
  OK(moon_dir_make(at("x/y/z")));
  OK(moon_dir_make(at("x//y/z/")));
  OK(moon_dir_make("/"));
  OK(moon_dir_make("."));
  put(at("x/plain"), "");
  REFUSED(MOON_EIO, "is not a folder", moon_dir_make(at("x/plain")));
  REFUSED(MOON_EIO, "x/plain", moon_dir_make(at("x/plain/deeper")));
  REFUSED(MOON_EIO, "", moon_dir_make(""));
  struct stat info;
  assert_int_equal(stat(at("x/y/z"), &info), 0);
  assert_true(S_ISDIR(info.st_mode));
}

static void removing_follows_no_links(void **state) {
  (void)state;
  OK(moon_dir_make(at("mine/deep/er")));
  OK(moon_dir_make(at("theirs")));
  put(at("mine/deep/er/file"), "x");
  put(at("theirs/precious"), "gold");
  assert_int_equal(symlink(at("theirs"), at("mine/link")), 0);
  OK(moon_dir_remove(at("mine")));
  assert_false(moon_file_exists(at("mine")));
  check_file(at("theirs/precious"), "gold");
  assert_int_equal(symlink(at("theirs"), at("link")), 0);
  OK(moon_dir_remove(at("link")));
  check_file(at("theirs/precious"), "gold");
  REFUSED(MOON_ENOTFOUND, "mine", moon_dir_remove(at("mine")));
  REFUSED(MOON_EIO, "precious", moon_dir_remove(at("theirs/precious")));
  check_file(at("theirs/precious"), "gold");
}

static void swap_puts_the_fresh_in_place(void **state) {
  (void)state;
  OK(moon_dir_make(at("fresh")));
  put(at("fresh/name"), "one");
  OK(moon_dir_swap(at("fresh"), at("live"))); /* nothing is there yet */
  check_file(at("live/name"), "one");
  assert_false(moon_file_exists(at("fresh")));
  OK(moon_dir_make(at("fresh")));
  put(at("fresh/name"), "two");
  OK(moon_dir_swap(at("fresh"), at("live")));
  check_file(at("live/name"), "two");
  assert_false(moon_file_exists(at("fresh")));
}

static void swap_replaces_a_link_and_not_its_target(void **state) {
  (void)state;
  OK(moon_dir_make(at("v1")));
  put(at("v1/name"), "v1");
  assert_int_equal(symlink("v1", at("current")), 0);
  OK(moon_dir_make(at("v2")));
  put(at("v2/name"), "v2");
  OK(moon_dir_swap(at("v2"), at("current")));
  check_file(at("current/name"), "v2");
  check_file(at("v1/name"), "v1");
  assert_false(moon_file_exists(at("v2")));
}

static void swap_refuses_and_changes_nothing(void **state) {
  (void)state;
  OK(moon_dir_make(at("new")));
  put(at("new/name"), "new");
  put(at("plain"), "text");
  REFUSED(MOON_EIO, "is not a folder", moon_dir_swap(at("new"), at("plain")));
  check_file(at("plain"), "text");
  check_file(at("new/name"), "new");
  REFUSED(MOON_ENOTFOUND, "missing", moon_dir_swap(at("missing"), at("live")));
  check_file(at("live/name"), "two");
  REFUSED(MOON_ENOTFOUND, "no/parent", moon_dir_swap(at("new"), at("no/parent/live")));
  check_file(at("new/name"), "new");
}

static void paths_join(void **state) {
  (void)state;
  static const char *const cases[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"},
                                         {"a", "/b", "/b"}, {"/", "b", "/b"},   {"a", "", "a/"}};
  for (size_t i = 0; i < 6; i++) {
    char *path = moon_path_join(cases[i][0], cases[i][1]);
    assert_string_equal(path, cases[i][2]);
    moon_free(path);
  }
}

static void sha256_answers_the_published_vectors(void **state) {
  (void)state; /* FIPS 180-4 examples */
  char out[65];
  moon_sha256("abc", 3, out);
  assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  moon_sha256("", 0, out);
  assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  char *million = malloc(1000000);
  memset(million, 'a', 1000000);
  moon_sha256(million, 1000000, out);
  assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  free(million);
}

static moon_status many_files(void *self) {
  (void)self;
  moon_buf buf = {0};
  moon_status status;
  MOON_GOTO(status, moon_dir_make(at("m/n")), done);
  MOON_GOTO(status, moon_file_write(at("m/n/f"), "abc", 3), done);
  MOON_GOTO(status, moon_file_read(at("m/n/f"), 0, &buf), done);
  MOON_GOTO(status, moon_dir_swap(at("m/n"), at("m/o")), done);
  status = moon_dir_remove(at("m"));
done:
  moon_buf_free(&buf);
  return status;
}

static void files_survive_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(many_files, NULL) >= 5);
}

static int make_top(void **state) {
  (void)state;
  return mkdtemp(top) == NULL;
}
static int remove_top(void **state) {
  (void)state;
  return (int)moon_dir_remove(top).code;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_written_is_read),
                                     cmocka_unit_test(refusals_name_the_file),
                                     cmocka_unit_test(folders_are_made_with_their_parents),
                                     cmocka_unit_test(removing_follows_no_links),
                                     cmocka_unit_test(swap_puts_the_fresh_in_place),
                                     cmocka_unit_test(swap_replaces_a_link_and_not_its_target),
                                     cmocka_unit_test(swap_refuses_and_changes_nothing),
                                     cmocka_unit_test(paths_join),
                                     cmocka_unit_test(sha256_answers_the_published_vectors),
                                     cmocka_unit_test(files_survive_no_memory)};
  return cmocka_run_group_tests(tests, make_top, remove_top);
}
