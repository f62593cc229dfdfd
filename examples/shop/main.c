/* main.c - `moonshelf-shop`: the command that makes an example shop. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shop.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };
#define MOST_EVENTS UINT64_C(4000000000) /* sessions and users are numbered in 32 bits */

int64_t shop_end(void) {
  return INT64_C(1793491200);
} /* 2026-11-01T00:00:00Z */

static const char help[] =
    "moonshelf-shop --out DIR [--size small|medium|large|N] [--seed 7] [--users N] [--items N] [--days 60] [--gzip]\n\n"
    "make an example shop: DIR/items.csv, DIR/events.csv, and the truth behind them in DIR/truth*\n\n"
    "Visitors with tastes look through lists and click, view, put in the cart and buy. The same options make the same bytes. The "
    "last\n"
    "day is 2026-10-31; events are written in time order and in bounded memory, however many there are.\n\n"
    "Options:\n"
    "  --out DIR                where to write; made where it is missing\n"
    "  --size SIZE              small (500k events, 20k users, 5k items; the default), medium (5M), large (100M),\n"
    "                           or about how many events: 250000, 250k, 20M\n"
    "  --seed N                 another shop (7)\n"
    "  --users N                visitors (default: follows the size)\n"
    "  --items N                items for sale (default: follows the size)\n"
    "  --days N                 days before 2026-11-01 (60)\n"
    "  --gzip                   write events.csv.gz in place of events.csv\n"
    "  --help                   this text\n\n"
    "Exit codes: 0 done, 1 the work failed, 2 wrong usage.\n";

static int usage(const char *text, const char *value) {
  fprintf(stderr, "moonshelf-shop: %s%s%s%s\nSee `moonshelf-shop --help`.\n", text, value ? ", not '" : "", value ? value : "",
          value ? "'" : "");
  return USAGE;
}

static bool parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
  if (*text < '0' || *text > '9') return false;
  char *rest;
  errno = 0;
  uint64_t value = strtoull(text, &rest, 10), unit = 1;
  if (*rest == 'k')
    unit = 1000, rest++;
  else if (*rest == 'M')
    unit = 1000000, rest++;
  if (errno || *rest || value > UINT64_MAX / unit || value * unit < least || value * unit > most) return false;
  *out = value * unit;
  return true;
}

static bool parse_size(const char *text, uint64_t *events) {
  if (!strcmp(text, "small"))
    *events = 500000;
  else if (!strcmp(text, "medium"))
    *events = 5000000;
  else if (!strcmp(text, "large"))
    *events = 100000000;
  else
    return parse_count(text, 1, MOST_EVENTS, events);
  return true;
}

/* 25 events a user and a catalogue that grows with the root of the traffic, within what a real shop has. */
static void choose_sizes(shop_options *options) {
  double users = (double)options->events / 25, items = 5000 * sqrt((double)options->events / 500000);
  if (!options->users) options->users = (uint32_t)fmin(1000000, fmax(200, users));
  if (!options->items) options->items = (uint32_t)fmin(100000, fmax(300, items));
}

/* -1 to go on, else the exit code. */
static int parse(int argc, char **argv, shop_options *options) {
  static const struct option longs[] = {
      {"out", required_argument, 0, 'o'},   {"size", required_argument, 0, 's'},  {"seed", required_argument, 0, 'r'},
      {"users", required_argument, 0, 'u'}, {"items", required_argument, 0, 'i'}, {"days", required_argument, 0, 'd'},
      {"gzip", no_argument, 0, 'z'},        {"help", no_argument, 0, 'h'},        {0}};
  uint64_t users = 0, items = 0, days = 60;
  int option;
  *options = (shop_options){.events = 500000, .seed = 7};
  opterr = 0;
  while ((option = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
    if (option == 'h') return fputs(help, stdout), DONE;
    if (option == ':') return usage("this option wants a value", argv[optind - 1]);
    switch (option) {
      case 'o':
        options->out = optarg;
        break;
      case 'z':
        options->gzip = true;
        break;
      case 's':
        if (!parse_size(optarg, &options->events))
          return usage("--size wants small, medium, large or a number up to 4000M", optarg);
        break;
      case 'r':
        if (!parse_count(optarg, 0, UINT64_MAX, &options->seed)) return usage("--seed wants a whole number", optarg);
        break;
      case 'u':
        if (!parse_count(optarg, 1, 100000000, &users)) return usage("--users wants a number from 1 to 100M", optarg);
        break;
      case 'i':
        if (!parse_count(optarg, 50, 10000000, &items)) return usage("--items wants a number from 50 to 10M", optarg);
        break;
      case 'd':
        if (!parse_count(optarg, 1, 3650, &days)) return usage("--days wants a number from 1 to 3650", optarg);
        break;
      default:
        return usage("there is no such option", argv[optind - 1]);
    }
  }
  if (optind < argc) return usage("every option has a name", argv[optind]);
  if (!options->out) return usage("--out is missing", NULL);
  options->users = (uint32_t)users;
  options->items = (uint32_t)items;
  options->days = (uint32_t)days;
  choose_sizes(options);
  return -1;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

/* Redrawn in place on a terminal, a line every tenth in a pipe. */
static bool show(void *self, const char *stage, double fraction, const char *note) {
  int *shown = self, percent = (int)(fraction * 100 + 1e-9);
  bool terminal = isatty(STDERR_FILENO);
  if (percent / (terminal ? 1 : 10) > *shown / (terminal ? 1 : 10)) {
    fprintf(stderr, "%s%s: %3d%%  %s%s", terminal ? "\r\033[K" : "", stage, percent, note, terminal && percent < 100 ? "" : "\n");
    *shown = percent;
  }
  return !interrupted;
}

/* An older shop's events do not belong to the new catalogue, under either name. */
static moon_status remove_events(const char *folder) {
  static const char *const names[] = {"events.csv", "events.csv.gz"};
  moon_status status = moon_ok();
  for (int i = 0; i < 2 && !status.code; i++) {
    char *path = moon_path_join(folder, names[i]);
    if (!path) status = moon_fail(MOON_ENOMEM, "no memory for a file name");
    else if (unlink(path) && errno != ENOENT) status = moon_fail(MOON_EIO, "%s: cannot remove: %s", path, strerror(errno));
    moon_free(path);
  }
  return status;
}

static moon_status make_shop(const shop_options *options, shop_count *count) {
  shop_catalogue catalogue = {0};
  shop_users users = {0};
  shop_writer *writer = NULL;
  int shown = -1;
  const moon_progress progress = {show, &shown};
  moon_status status;
  MOON_GOTO(status, moon_dir_make(options->out), done);
  MOON_GOTO(status, shop_catalogue_make(options, &catalogue), done);
  MOON_GOTO(status, shop_users_make(options, &catalogue, &users), done);
  MOON_GOTO(status, remove_events(options->out), done);
  MOON_GOTO(status, shop_write_items(options->out, &catalogue), done);
  MOON_GOTO(status, shop_write_truth(options, &catalogue, &users), done);
  MOON_GOTO(status, shop_writer_open(options->out, "events.csv", options->gzip, &writer), done);
  MOON_GOTO(status, shop_simulate(options, &catalogue, &users, writer, &progress, count), done);
  status = shop_writer_commit(&writer); /* last: where events.csv is, the shop is whole */
done:
  shop_writer_abandon(&writer);
  shop_users_free(&users);
  shop_catalogue_free(&catalogue);
  return status;
}

int main(int argc, char **argv) {
  shop_options options;
  int code = parse(argc, argv, &options);
  if (code >= 0) return code;
  signal(SIGINT, on_interrupt);
  fprintf(stderr, "a shop of %u items, %u users, about %llu events over %u days, seed %llu\n", options.items, options.users,
          (unsigned long long)options.events, options.days, (unsigned long long)options.seed);
  shop_count count;
  moon_status status = make_shop(&options, &count);
  if (status.code) {
    fprintf(stderr, "moonshelf-shop: %s\n", status.message);
    return FAILED;
  }
  printf("%s: %llu events (%llu views, %llu clicks, %llu carts, %llu purchases) in %llu sessions\n", options.out,
         (unsigned long long)count.total, (unsigned long long)count.events[SHOP_VIEW],
         (unsigned long long)count.events[SHOP_CLICK], (unsigned long long)count.events[SHOP_CART],
         (unsigned long long)count.events[SHOP_PURCHASE], (unsigned long long)count.sessions);
  return fflush(stdout) ? FAILED : DONE;
}
