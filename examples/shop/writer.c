/* writer.c - rows on their way to disk. Events go through one buffer with hand-written digits, since at 100 million rows printf
 * would be most of the time; a file is written under a ".part" name and renamed when whole, so that half a shop is never taken
 * for one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "shop.h"

enum { BUFFER = 1 << 20, LONGEST_ROW = 256, NEW_DAYS = 30 };

struct shop_writer {
  FILE *file;
  gzFile gzip;
  char *path, *part;
  size_t used;
  moon_status status;
  int64_t day;   /* whose date stands in `date` */
  char date[16]; /* "2026-10-31T" */
  char buffer[BUFFER];
};

static void fail(shop_writer *writer, const char *what) {
  if (!writer->status.code) writer->status = moon_fail(MOON_EIO, "%s: %s: %s", writer->part, what, strerror(errno));
}

static void flush(shop_writer *writer) {
  if (!writer->used || writer->status.code) return;
  bool ok = writer->gzip ? gzwrite(writer->gzip, writer->buffer, (unsigned)writer->used) == (int)writer->used
                         : fwrite(writer->buffer, 1, writer->used, writer->file) == writer->used;
  if (!ok) fail(writer, "cannot write");
  writer->used = 0;
}

static void release(shop_writer *writer) {
  moon_free(writer->path);
  moon_free(writer->part);
  moon_free(writer);
}

moon_status shop_writer_open(const char *folder, const char *name, bool gzip, shop_writer **out) {
  shop_writer *writer = moon_calloc(1, sizeof *writer);
  if (!writer) return moon_fail(MOON_ENOMEM, "no memory for a writer");
  writer->day = INT64_MIN;
  moon_buf path = {0};
  moon_buf_printf(&path, "%s/%s%s", folder, name, gzip ? ".gz" : "");
  writer->path = path.failed ? NULL : moon_strdup(path.data);
  moon_buf_puts(&path, ".part");
  writer->part = path.failed ? NULL : moon_strdup(path.data);
  moon_buf_free(&path);
  moon_status status = moon_ok();
  if (!writer->path || !writer->part) {
    status = moon_fail(MOON_ENOMEM, "no memory for a file name");
  } else {
    if (gzip)
      writer->gzip = gzopen(writer->part, "wb4");
    else
      writer->file = fopen(writer->part, "wb");
    if (!writer->gzip && !writer->file) status = moon_fail(MOON_EIO, "%s: cannot create: %s", writer->part, strerror(errno));
  }
  if (status.code)
    release(writer);
  else
    *out = writer;
  return status;
}

void shop_writer_text(shop_writer *writer, const char *text) {
  for (size_t n = strlen(text); n;) {
    if (writer->used == BUFFER) flush(writer);
    size_t part = n < BUFFER - writer->used ? n : BUFFER - writer->used;
    memcpy(writer->buffer + writer->used, text, part);
    writer->used += part;
    text += part;
    n -= part;
  }
}

static char *put_number(char *at, uint64_t value) {
  char digits[20];
  int n = 0;
  do digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n) *at++ = digits[--n];
  return at;
}

static char *put_two(char *at, int64_t value) {
  *at++ = (char)('0' + value / 10);
  *at++ = (char)('0' + value % 10);
  return at;
}

static char *put_time(shop_writer *writer, char *at, int64_t time) {
  int64_t day = time / SHOP_DAY, second = time % SHOP_DAY;
  if (day != writer->day) {
    time_t at_midnight = (time_t)(day * SHOP_DAY);
    struct tm date;
    gmtime_r(&at_midnight, &date);
    strftime(writer->date, sizeof writer->date, "%Y-%m-%dT", &date);
    writer->day = day;
  }
  memcpy(at, writer->date, 11);
  at = put_two(at + 11, second / 3600);
  *at++ = ':';
  at = put_two(at, second / 60 % 60);
  *at++ = ':';
  at = put_two(at, second % 60);
  *at++ = 'Z';
  return at;
}

void shop_writer_event(shop_writer *writer, const shop_event *event) {
  static const char *const kinds[SHOP_KINDS] = {"click", "view", "cart", "purchase"};
  if (BUFFER - writer->used < LONGEST_ROW) flush(writer);
  char *at = put_time(writer, writer->buffer + writer->used, event->time);
  *at++ = ',', *at++ = 'u';
  at = put_number(at, event->user + UINT64_C(1));
  *at++ = ',', *at++ = 'i';
  at = put_number(at, event->item + UINT64_C(1));
  *at++ = ',';
  size_t n = strlen(kinds[event->kind]);
  memcpy(at, kinds[event->kind], n);
  at += n;
  *at++ = ',';
  if (event->position) at = put_number(at, event->position);
  *at++ = ',', *at++ = 's';
  at = put_number(at, event->session);
  *at++ = '\n';
  writer->used = (size_t)(at - writer->buffer);
}

moon_status shop_writer_error(const shop_writer *writer) {
  return writer->status;
}

static moon_status close_files(shop_writer *writer) {
  flush(writer);
  if (writer->gzip && gzclose(writer->gzip) != Z_OK) fail(writer, "cannot finish");
  if (writer->file && fclose(writer->file)) fail(writer, "cannot finish");
  return writer->status;
}

moon_status shop_writer_commit(shop_writer **writer_ptr) {
  shop_writer *writer = *writer_ptr;
  *writer_ptr = NULL;
  moon_status status = close_files(writer);
  if (!status.code && rename(writer->part, writer->path))
    status = moon_fail(MOON_EIO, "%s: cannot rename: %s", writer->part, strerror(errno));
  if (status.code) unlink(writer->part);
  release(writer);
  return status;
}

void shop_writer_abandon(shop_writer **writer_ptr) {
  shop_writer *writer = *writer_ptr;
  if (!writer) return;
  *writer_ptr = NULL;
  close_files(writer);
  unlink(writer->part);
  release(writer);
}

static void date_text(int32_t day, char out[16]) {
  time_t midnight = (time_t)(day * SHOP_DAY);
  struct tm date;
  gmtime_r(&midnight, &date);
  strftime(out, 16, "%Y-%m-%d", &date);
}

moon_status shop_write_items(const char *folder, const shop_catalogue *catalogue) {
  shop_writer *writer = NULL;
  MOON_TRY(shop_writer_open(folder, "items.csv", false, &writer));
  shop_writer_text(writer, "item_id,product,title,category,brand,price,stock,launched,new,margin\n");
  int32_t today = (int32_t)(shop_end() / SHOP_DAY);
  for (uint32_t i = 0; i < catalogue->n; i++) {
    const shop_item *item = &catalogue->items[i];
    const shop_category *category = &shop_categories[item->category];
    char row[SHOP_TITLE + LONGEST_ROW], launched[16];
    date_text(item->launched, launched);
    snprintf(row, sizeof row, "i%u,p%u,\"%s\",%s,%s,%.2f,%u,%s,%d,%.3f\n", i + 1, item->product,
             catalogue->titles + (size_t)i * SHOP_TITLE, category->name, category->brands[item->brand].name, (double)item->price,
             item->stock, launched, today - item->launched <= NEW_DAYS, (double)item->margin);
    shop_writer_text(writer, row);
  }
  return shop_writer_commit(&writer);
}

static void vector_text(const float *vector, char *out, size_t cap) {
  size_t n = 0;
  for (int d = 0; d < SHOP_DIMS; d++) n += (size_t)snprintf(out + n, cap - n, ",%.5f", (double)vector[d]);
}

static moon_status write_item_truth(const char *folder, const shop_catalogue *catalogue) {
  shop_writer *writer = NULL;
  MOON_TRY(shop_writer_open(folder, "truth_items.csv", false, &writer));
  shop_writer_text(writer, "item_id,quality,price_z,popularity,v1,v2,v3,v4,v5,v6,v7,v8\n");
  for (uint32_t i = 0; i < catalogue->n; i++) {
    const shop_item *item = &catalogue->items[i];
    char vector[LONGEST_ROW], row[2 * LONGEST_ROW];
    vector_text(item->vector, vector, sizeof vector);
    snprintf(row, sizeof row, "i%u,%.5f,%.5f,%.5f%s\n", i + 1, (double)item->quality, (double)item->price_z,
             (double)item->popularity, vector);
    shop_writer_text(writer, row);
  }
  return shop_writer_commit(&writer);
}

static moon_status write_user_truth(const char *folder, const shop_users *users) {
  shop_writer *writer = NULL;
  MOON_TRY(shop_writer_open(folder, "truth_users.csv", false, &writer));
  shop_writer_text(
      writer,
      "user_id,joined,activity,price_sensitivity,decisiveness,favourite1,favourite2,favourite3,v1,v2,v3,v4,v5,v6,v7,v8\n");
  for (uint32_t u = 0; u < users->n; u++) {
    const shop_user *user = &users->users[u];
    char vector[LONGEST_ROW], row[2 * LONGEST_ROW], joined[16];
    vector_text(user->taste, vector, sizeof vector);
    date_text(user->joined, joined);
    snprintf(row, sizeof row, "u%u,%s,%.4f,%.5f,%.5f,%s,%s,%s%s\n", u + 1, joined, (double)users->activity[u],
             (double)user->price_sensitivity, (double)user->decisiveness, shop_categories[user->favourite[0]].name,
             shop_categories[user->favourite[1]].name, shop_categories[user->favourite[2]].name, vector);
    shop_writer_text(writer, row);
  }
  return shop_writer_commit(&writer);
}

moon_status shop_write_truth(const shop_options *options, const shop_catalogue *catalogue, const shop_users *users) {
  shop_writer *writer = NULL;
  moon_buf json = {0};
  moon_status status;
  MOON_GOTO(status, shop_writer_open(options->out, "truth.json", false, &writer), done);
  shop_truth_json(options, &json);
  if (json.failed) {
    status = moon_fail(MOON_ENOMEM, "no memory for the truth");
    goto done;
  }
  shop_writer_text(writer, json.data);
  MOON_GOTO(status, shop_writer_commit(&writer), done);
  MOON_GOTO(status, write_item_truth(options->out, catalogue), done);
  status = write_user_truth(options->out, users);
done:
  shop_writer_abandon(&writer);
  moon_buf_free(&json);
  return status;
}
