/* main.c - Moonshelf inside another program: a page for a visitor, something happens, and the next page knows of it.
 *
 *   embed BUNDLE SITE.lua [USER [ITEM]]
 *
 * Only the installed header is used. A runtime is one thread's; a program with eight threads opens eight. */
#include <moonshelf.h>

#include <stdio.h>

/* Says on stderr what went wrong; answers whether something did. */
static int failed(const char *doing, moon_status status) {
  if (status.code) fprintf(stderr, "%s: %s (%s)\n", doing, status.message, moon_code_name(status.code));
  return status.code != MOON_OK;
}

/* The visitor's home page: as text for people, and how long it is in JSON for programs. */
static int print_page(moon_runtime *shop, const char *user, const char *title) {
  const moon_pair params[] = {{"country", "NL"}}; /* policies and gates read it as ctx.params.country */
  moon_query query = {.surface = "home", .user = user, .params = params, .param_n = 1, .seed = 1};
  const char *text; /* the runtime's, until its next call */
  size_t n;
  if (failed("page", moon_runtime_page_text(shop, &query, &text, &n))) return 1;
  printf("== %s\n%s", title, text);
  if (failed("page", moon_runtime_page(shop, &query, &text, &n))) return 1;
  printf("(%zu bytes of JSON)\n\n", n);
  return 0;
}

static int visit(moon_runtime *shop, const char *user, const char *item) {
  if (print_page(shop, user, "before")) return 1;
  /* The visitor looks at something. It counts at once: in the rows, and in the features that the model sees. */
  if (failed("event", moon_runtime_event(shop, user, item, "view", 0))) return 1;
  return print_page(shop, user, "after the view");
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: embed BUNDLE SITE.lua [USER [ITEM]]\n");
    return 2;
  }
  moon_runtime *shop;
  if (failed("open", moon_runtime_open(argv[1], argv[2], &shop))) return 1;
  int code = visit(shop, argc > 3 ? argv[3] : "u1", argc > 4 ? argv[4] : "i1");
  moon_runtime_close(shop);
  return code;
}
