/* edition.c - a bundle and a site that belong together, and seats at them. Nothing here waits or locks: whoever may see an edition holds it. */
#include "runtime/internal.h"

/* ---- stock */

moon_status moon_stock_open(const char *path, size_t state_memory, moon_stock **out) {
  *out = NULL;
  moon_stock *stock = moon_calloc(1, sizeof *stock);
  if (!stock) return moon_fail(MOON_ENOMEM, "no memory for a bundle");
  atomic_init(&stock->holders, 1);
  moon_status status = moon_bundle_open(path, &stock->bundle);
  if (status.code) {
    moon_free(stock);
    return status;
  }
  /* Also without a limit, so that what the recipe's ttl has forgotten makes room. */
  moon_state_limit(stock->bundle->state, state_memory ? state_memory : SIZE_MAX);
  *out = stock;
  return moon_ok();
}

moon_stock *moon_stock_share(moon_stock *stock) {
  atomic_fetch_add(&stock->holders, 1);
  return stock;
}

void moon_stock_free(moon_stock *stock) {
  if (!stock || atomic_fetch_sub(&stock->holders, 1) > 1) return;
  moon_bundle_close(stock->bundle);
  moon_free(stock);
}

/* ---- seats */

static moon_status furnish(moon_seat *seat, const moon_host_options *options) {
  const moon_edition *edition = seat->edition;
  moon_host_options own = *options;
  own.chunks = edition->chunks;
  MOON_TRY(moon_host_open(&own, &seat->host));
  MOON_TRY(moon_host_load_site(seat->host, edition->site, &seat->plan));
  MOON_TRY(moon_site_new(seat->plan, edition->stock->bundle, &seat->site));
  seat->functions = moon_host_page_functions(seat->host);
  return moon_assembler_new(edition->stock->bundle, &seat->assembler);
}

moon_status moon_seat_new(moon_edition *edition, const moon_host_options *options, moon_seat **out) {
  *out = NULL;
  moon_seat *seat = moon_calloc(1, sizeof *seat);
  if (!seat) return moon_fail(MOON_ENOMEM, "no memory for a worker");
  seat->edition = moon_edition_share(edition);
  moon_status status = furnish(seat, options);
  if (status.code) moon_seats_free(seat);
  else *out = seat;
  return status;
}

void moon_seats_free(moon_seat *seat) {
  while (seat) {
    moon_seat *next = seat->next;
    moon_assembler_free(seat->assembler);
    moon_site_free(seat->site);
    json_decref(seat->plan);
    moon_host_close(seat->host);
    moon_edition_free(seat->edition);
    moon_free(seat);
    seat = next;
  }
}

/* ---- editions */

static moon_status lay_out(moon_edition *edition, const moon_host_options *options, size_t seats) {
  for (size_t i = 0; i < seats; i++) {
    moon_seat *seat;
    MOON_TRY(moon_seat_new(edition, options, &seat));
    seat->next = edition->spare;
    edition->spare = seat;
  }
  return moon_ok();
}

moon_status moon_edition_new(moon_stock *stock, const char *site, moon_chunks *chunks, uint64_t number, const moon_host_options *options,
                             size_t seats, moon_edition **out) {
  *out = NULL;
  moon_edition *edition = moon_calloc(1, sizeof *edition);
  if (!edition) {
    moon_stock_free(stock);
    return moon_fail(MOON_ENOMEM, "no memory for a site");
  }
  atomic_init(&edition->holders, 1);
  edition->number = number;
  edition->stock = stock;
  edition->site = moon_strdup(site);
  moon_status status = edition->site ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a site");
  if (chunks) edition->chunks = moon_chunks_hold(chunks);
  else if (!status.code) status = moon_chunks_new(&edition->chunks);
  if (!status.code) status = lay_out(edition, options, seats);
  if (!status.code) {
    *out = edition;
    return status;
  }
  moon_edition_clear(edition);
  moon_edition_free(edition);
  return status;
}

void moon_edition_clear(moon_edition *edition) {
  moon_seat *spare = edition->spare;
  edition->spare = NULL;
  moon_seats_free(spare);
}

moon_edition *moon_edition_share(moon_edition *edition) {
  atomic_fetch_add(&edition->holders, 1);
  return edition;
}

/* Spare seats hold the edition, so there are none any more. */
void moon_edition_free(moon_edition *edition) {
  if (!edition || atomic_fetch_sub(&edition->holders, 1) > 1) return;
  moon_stock_free(edition->stock);
  moon_chunks_release(edition->chunks);
  moon_free(edition->site);
  moon_free(edition);
}
