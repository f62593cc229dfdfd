/* runtime.c - a bundle, a site and a Lua state that belong together: from a query to a page.
 *
 * Everything of a page lives in one arena that the next call empties, and the text of an answer in one buffer that it overwrites:
 * after the first few pages nothing is allocated any more. */
#include <string.h>

#include "script/script.h"

struct moon_scene {
  moon_host *host;
  json_t *plan;
  moon_site *site;
  moon_page_functions functions;
};

struct moon_runtime {
  moon_bundle *bundle;
  moon_host_options options;
  moon_scene *scene;
  moon_assembler *assembler;
  moon_arena arena;
  moon_buf out;
};

/* ---- scenes */

static moon_status open_scene(const moon_runtime *r, const char *site, moon_scene *scene) {
  if (site) {
    MOON_TRY(moon_host_open(&r->options, &scene->host));
    MOON_TRY(moon_host_load_site(scene->host, site, &scene->plan));
  } else {
    MOON_TRY(moon_host_reopen(r->scene->host, &scene->host, &scene->plan));
  }
  MOON_TRY(moon_site_new(scene->plan, r->bundle, &scene->site));
  scene->functions = moon_host_page_functions(scene->host);
  return moon_ok();
}

moon_status moon_runtime_prepare(const moon_runtime *r, const char *site, moon_scene **out) {
  *out = NULL;
  moon_scene *scene = moon_calloc(1, sizeof *scene);
  moon_status status = scene ? open_scene(r, site, scene) : moon_fail(MOON_ENOMEM, "no memory for a site");
  if (status.code) moon_scene_free(scene);
  else *out = scene;
  return status;
}

void moon_scene_free(moon_scene *scene) {
  if (!scene) return;
  moon_site_free(scene->site);
  json_decref(scene->plan);
  moon_host_close(scene->host);
  moon_free(scene);
}

void moon_runtime_adopt(moon_runtime *r, moon_scene *scene) {
  moon_scene_free(r->scene);
  r->scene = scene;
}

/* ---- the runtime */

static void fill(uint64_t *option, uint64_t otherwise) {
  if (!*option) *option = otherwise;
}

/* A page is waited for, so its scripts get less than those of a training. */
static void fill_options(moon_host_options *o) {
  enum { PAGE_MILLIS = 50 };
  fill(&o->page_millis, PAGE_MILLIS);
  fill(&o->call_millis, (o->page_millis + 3) / 4); /* so that no single one takes it all, nor twice, for the fallback */
  if (!o->call_memory) o->call_memory = (size_t)16 << 20;
  if (!o->call_tensors) o->call_tensors = (size_t)32 << 20;
}

static moon_status open_parts(moon_runtime *r, const char *bundle, const char *site, const moon_host_options *options) {
  if (options) r->options = *options;
  fill_options(&r->options);
  MOON_TRY(moon_bundle_open(bundle, &r->bundle));
  MOON_TRY(moon_runtime_prepare(r, site, &r->scene));
  return moon_assembler_new(r->bundle, &r->assembler);
}

moon_status moon_runtime_open_with(const char *bundle, const char *site, const moon_host_options *options, moon_runtime **out) {
  *out = NULL;
  moon_runtime *r = moon_calloc(1, sizeof *r);
  moon_status status = r ? open_parts(r, bundle, site, options) : moon_fail(MOON_ENOMEM, "no memory for a runtime");
  if (status.code) moon_runtime_close(r);
  else *out = r;
  return status;
}

moon_status moon_runtime_open(const char *bundle, const char *site, moon_runtime **out) {
  return moon_runtime_open_with(bundle, site, NULL, out);
}

void moon_runtime_close(moon_runtime *r) {
  if (!r) return;
  moon_assembler_free(r->assembler);
  moon_scene_free(r->scene);
  moon_bundle_close(r->bundle);
  moon_arena_free(&r->arena);
  moon_buf_free(&r->out);
  moon_free(r);
}

const moon_host *moon_runtime_host(const moon_runtime *r) { return r->scene->host; }
const moon_bundle *moon_runtime_bundle(const moon_runtime *r) { return r->bundle; }
moon_state *moon_runtime_state(moon_runtime *r) { return r->bundle->state; }

/* A page sees the state of one moment, whoever adds to it meanwhile. */
moon_status moon_runtime_assemble(moon_runtime *r, const moon_query *query, moon_request *request, moon_page **page) {
  moon_arena_reset(&r->arena);
  moon_state_read_begin(r->bundle->state);
  *request = (moon_request){.surface = query->surface ? query->surface : "home",
                            .user = query->user && *query->user ? query->user : NULL,
                            .item = query->item,
                            .cart = query->cart,
                            .cart_n = query->cart_n,
                            .now = query->now ? query->now : moon_state_clock(r->bundle->state),
                            .seed = query->seed,
                            .params = query->params,
                            .param_n = query->param_n,
                            .explain = query->explain};
  const moon_scene *scene = r->scene;
  moon_host_begin_page(scene->host);
  moon_status status = moon_page_assemble(r->assembler, scene->site, r->bundle->state, request, &scene->functions, &r->arena, page);
  moon_state_read_end(r->bundle->state);
  return status;
}

/* The page is made: now is the time to replace a host that is worn. Where that fails it goes on as it is. */
static void renew(moon_runtime *r) {
  moon_scene *fresh;
  if (moon_host_worn(r->scene->host) && !moon_runtime_prepare(r, NULL, &fresh).code) moon_runtime_adopt(r, fresh);
}

typedef moon_status (*renderer)(const moon_page *page, const moon_request *request, moon_buf *out);

static moon_status render(moon_runtime *r, const moon_query *query, renderer how, const char **text, size_t *n) {
  moon_request request;
  moon_page *page;
  *text = NULL;
  *n = 0;
  moon_buf_reset(&r->out);
  MOON_TRY(moon_runtime_assemble(r, query, &request, &page));
  MOON_TRY(how(page, &request, &r->out));
  renew(r);
  *text = r->out.data;
  *n = r->out.n;
  return moon_ok();
}

moon_status moon_runtime_page(moon_runtime *r, const moon_query *query, const char **json, size_t *n) {
  return render(r, query, moon_page_json, json, n);
}

moon_status moon_runtime_page_text(moon_runtime *r, const moon_query *query, const char **text, size_t *n) {
  return render(r, query, moon_page_text, text, n);
}

moon_status moon_runtime_event(moon_runtime *r, const char *user, const char *item, const char *kind, int64_t time) {
  moon_state *state = r->bundle->state;
  uint32_t row, who, what;
  if (!user || !*user || !item || !kind || !*kind) return moon_fail(MOON_EINVAL, "an event has a user, an item and a kind");
  MOON_TRY(moon_catalogue_row(r->bundle->catalogue, item, strlen(item), false, &row));
  if (row == MOON_NONE) return moon_fail(MOON_ENOTFOUND, "there is no item '%.100s'", item);
  MOON_TRY(moon_state_user(state, user, strlen(user), true, &who));
  MOON_TRY(moon_state_kind(state, kind, strlen(kind), true, &what));
  return moon_state_apply(state, who, row, what, time ? time : moon_state_clock(state));
}
