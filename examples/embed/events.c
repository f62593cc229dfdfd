/* events.c - one thread tells what happens while another makes pages; what is told is kept in a file and there again after a restart.
 *
 *   events BUNDLE SITE.lua EVENTS.db USER ITEM... */
#include <moonshelf.h>

#include <pthread.h>
#include <stdio.h>

static int failed(const char *doing, moon_status status) {
  if (status.code) fprintf(stderr, "%s: %s (%s)\n", doing, status.message, moon_code_name(status.code));
  return status.code != MOON_OK;
}

static void *make_pages(void *shop) { /* a worker is one thread's */
  moon_worker *worker;
  const moon_query query = {.size = sizeof query, .surface = "home"};
  const char *json;
  size_t n;
  if (failed("worker", moon_worker_open(shop, &worker))) return NULL;
  for (int i = 0; i < 100 && !failed("page", moon_worker_page(worker, &query, &json, &n)); i++) continue;
  moon_worker_close(worker);
  return NULL;
}

static int look_at(moon_runtime *shop, const char *user, char **items, int n) {
  for (int i = 0; i < n; i++) { /* moon_runtime_events takes many, at one sync's cost */
    const moon_event_record view = {.size = sizeof view, .user = user, .item = items[i], .kind = "view"};
    if (failed("event", moon_runtime_event(shop, &view))) return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: events BUNDLE SITE.lua EVENTS.db USER ITEM...\n");
    return 2;
  }
  const moon_runtime_options options = {.size = sizeof options, .bundle = argv[1], .site = argv[2], .event_log = argv[3]};
  moon_counters c = {.size = sizeof c};
  moon_runtime *shop;
  pthread_t pages;
  if (failed("open", moon_runtime_open(&options, &shop))) return 1;
  int code = pthread_create(&pages, NULL, make_pages, shop) != 0;
  if (!code) {
    code = look_at(shop, argv[4], argv + 5, argc - 5);
    pthread_join(pages, NULL);
  }
  if (!code && !failed("metrics", moon_runtime_metrics(shop, &c)))
    printf("%llu pages, %llu new events, %llu of before\n", (unsigned long long)c.pages, (unsigned long long)c.events, (unsigned long long)c.replayed);
  moon_runtime_close(shop);
  return code;
}
