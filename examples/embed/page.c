/* page.c - a visitor's home page: as structs for a program, and as JSON for whoever asks over a wire.
 *
 *   page BUNDLE SITE.lua [USER] */
#include <moonshelf.h>

#include <stdio.h>

/* Says on stderr what went wrong; answers whether something did. */
static int failed(const char *doing, moon_status status) {
  if (status.code) fprintf(stderr, "%s: %s (%s)\n", doing, status.message, moon_code_name(status.code));
  return status.code != MOON_OK;
}

static int print_page(moon_worker *worker, const char *user) {
  const moon_pair params[] = {{"country", "NL"}}; /* policies and gates read it as ctx.params.country */
  const moon_query query = {.size = sizeof query, .surface = "home", .user = user, .params = params, .param_n = 1, .explain = true};
  const moon_page_view *page; /* the worker's, until its next call */
  const char *json;
  size_t n;
  if (failed("page", moon_worker_view(worker, &query, &page))) return 1;
  printf("%s%s\n", page->surface, page->cold ? " of a new visitor" : "");
  for (size_t s = 0; s < page->slot_count; s++) {
    const moon_slot_view *slot = page->slots[s];
    printf("%s\n", slot->title ? slot->title : slot->name);
    for (size_t i = 0; i < slot->n; i++) printf("  %-8s %6.3f  %s\n", slot->items[i], slot->scores[i], slot->why[i]);
  }
  if (failed("page", moon_worker_page(worker, &query, &json, &n))) return 1;
  printf("(%zu bytes of JSON)\n", n);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: page BUNDLE SITE.lua [USER]\n");
    return 2;
  }
  if (moon_abi_version() != MOON_ABI_VERSION) return fprintf(stderr, "libmoonshelf %s is not the one this was built for\n", moon_version()), 1;
  const moon_runtime_options options = {.size = sizeof options, .bundle = argv[1], .site = argv[2]};
  moon_runtime *shop;
  moon_worker *worker = NULL;
  if (failed("open", moon_runtime_open(&options, &shop))) return 1;
  int code = failed("worker", moon_worker_open(shop, &worker)) || print_page(worker, argc > 3 ? argv[3] : "u1");
  moon_worker_close(worker);
  moon_runtime_close(shop);
  return code;
}
