/* test_runtime_threads.c - readers make pages while somebody else folds events in and reloads. Under the thread sanitizer this is the test of the
 * locks; without it, of what a page may be made of. */
#include <pthread.h>
#include <stdatomic.h>

#include "runtime_shop.h"

enum { READERS = 3, EVENTS = 2000 };

typedef struct world {
  moon_runtime *runtime;
  const shop *shop;
  atomic_bool over;
  atomic_size_t pages, wrong;
} world;

/* Odd editions are of site.lua (3 items), even ones of the other (5). */
static bool is_whole(const moon_page_view *page) {
  size_t want = page->edition % 2 ? 3 : 5;
  return page->slot_count && page->slots[0]->n == want && !strcmp(page->slots[0]->name, "first") && !page->degraded;
}

static void *read_pages(void *self) {
  world *x = self;
  uint64_t edition = 0;
  for (int turn = 0; !atomic_load(&x->over); turn++) {
    moon_worker *w = NULL;
    if (moon_worker_open(x->runtime, &w).code) return NULL;
    for (int i = 0; i < 20 && !atomic_load(&x->over); i++) {
      const moon_query q = {.size = sizeof q, .user = i % 2 ? "u1" : "busy", .explain = i % 3 == 0};
      const moon_page_view *page;
      const char *json, *const ids[] = {"i1", "i2", "i3"};
      float scores[3];
      size_t n;
      bool fine = !moon_worker_view(w, &q, &page).code && is_whole(page) && page->edition >= edition; /* never back in time */
      edition = fine ? page->edition : edition;
      fine = fine && !moon_worker_page(w, &q, &json, &n).code && strlen(json) == n;
      fine = fine && !moon_worker_rank(w, &(moon_rank_query){.size = sizeof(moon_rank_query), .user = "busy", .items = ids, .n = 3}, scores, NULL).code;
      atomic_fetch_add(fine ? &x->pages : &x->wrong, 1);
    }
    moon_worker_close(w);
  }
  return NULL;
}

static void *write_events(void *self) {
  world *x = self;
  for (int i = 0; i < EVENTS && !atomic_load(&x->over); i++) {
    char user[16], item[8];
    snprintf(user, sizeof user, "n%d", i % 300);
    snprintf(item, sizeof item, "i%d", i % 10);
    const moon_event_record both[2] = {{.size = sizeof *both, .user = "busy", .item = item, .kind = "view"},
                                       {.size = sizeof *both, .user = user, .item = item, .kind = i % 50 ? "view" : "purchase"}};
    if (moon_runtime_events(x->runtime, both, 2, NULL).code) atomic_fetch_add(&x->wrong, 1);
  }
  return NULL;
}

static void *read_metrics(void *self) {
  world *x = self;
  for (uint64_t pages = 0; !atomic_load(&x->over);) {
    moon_counters c = {.size = sizeof c};
    if (moon_runtime_metrics(x->runtime, &c).code || c.pages < pages) atomic_fetch_add(&x->wrong, 1);
    pages = c.pages;
    struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
  }
  return NULL;
}

static void readers_go_on_under_events_and_reloads(void **state) {
  shop *s = *state;
  for (int logged = 0; logged < 2; logged++) {
    const size_t reloads = logged ? 12 : 24;
    world x = {.runtime = shop_open(s->bundle, s->site, logged ? s->log : NULL), .shop = s};
    pthread_t readers[READERS], writer, watcher;
    for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, read_pages, &x), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_events, &x), 0);
    assert_int_equal(pthread_create(&watcher, NULL, read_metrics, &x), 0);
    for (size_t i = 0; i < reloads; i++) {
      size_t before = atomic_load(&x.pages);
      for (int wait = 0; wait < 5000 && atomic_load(&x.pages) < before + 2 && !atomic_load(&x.wrong); wait++) {
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
      }
      OK(moon_runtime_reload(x.runtime, i % 3 == 1 ? s->other : i % 3 ? s->bundle : NULL, i % 2 ? s->site : s->other_site));
    }
    atomic_store(&x.over, true);
    for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    pthread_join(writer, NULL);
    pthread_join(watcher, NULL);
    assert_int_equal(atomic_load(&x.wrong), 0);
    assert_true(atomic_load(&x.pages) >= reloads);
    const moon_counters c = shop_counters(x.runtime);
    assert_int_equal(c.workers, 0);
    assert_int_equal(c.pages, 2 * atomic_load(&x.pages));
    assert_int_equal(c.reloads, reloads);
    moon_runtime_close(x.runtime);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(readers_go_on_under_events_and_reloads)};
  return cmocka_run_group_tests(tests, shop_up, shop_down);
}
