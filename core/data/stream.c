/* stream.c - bytes of a file, unpacked where they are packed.
 *
 * The first bytes of a file tell gzip and zstd from text. Plain bytes go straight into the reader's buffer; packed ones pass
 * through an unpacker, which knows whether it stands between two members (or frames), the only place where a file may end. */
#include "data/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { BLOCK = 1 << 17, RAW = 1 << 16, TEXT = 1 << 17, MAGIC = 4 };

typedef enum packing { PLAIN, GZIP, ZSTD } packing;

struct moon_unpacker {
  packing packing;
  bool inside; /* a member or frame has begun and not ended */
  bool ended;  /* one has ended */
  z_stream gzip;
  ZSTD_DStream *zstd;
  size_t at, n; /* unread are raw[at, n) */
  char raw[RAW];
  size_t text_at, text_n; /* unpacked and not yet asked for */
  char text[TEXT];
};

/* ---- bytes as they lie ------------------------------------------------------------------------------------------------------ */

static moon_status read_raw(moon_stream *s, char *to, size_t room, size_t *got) {
  *got = 0;
  if (s->file < 0) {
    *got = s->memory_n < room ? s->memory_n : room;
    if (*got) memcpy(to, s->memory, *got);
    s->memory += *got;
    s->memory_n -= *got;
  } else {
    ssize_t count;
    do count = read(s->file, to, room);
    while (count < 0 && errno == EINTR);
    if (count < 0) return moon_fail(MOON_EIO, "%s: %s", s->name, strerror(errno));
    *got = (size_t)count;
  }
  s->packed += *got;
  return moon_ok();
}

static packing packing_of(const unsigned char *head, size_t n) {
  if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) return GZIP;
  if (n < MAGIC) return PLAIN;
  uint32_t magic = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
  bool skippable = (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
  return magic == ZSTD_MAGICNUMBER || skippable ? ZSTD : PLAIN;
}

/* ---- unpacking -------------------------------------------------------------------------------------------------------------- */

/* What an unpacker makes of broken bytes depends on the pieces it got them in, so its own words are left out. */
static moon_status broken(const moon_stream *s) {
  return moon_fail(MOON_EFORMAT, "%s: the compressed file is broken", s->name);
}

/* Both steps take some of raw and give some to `to`; *gave may be 0. */
static moon_status step_gzip(const moon_stream *s, char *to, size_t room, size_t *gave) {
  moon_unpacker *u = s->unpacker;
  z_stream *z = &u->gzip;
  if (!u->inside && u->ended) /* some writers fill their last block with zeros */
    while (u->at < u->n && !u->raw[u->at]) u->at++;
  if (u->at == u->n && !u->inside) return moon_ok(); /* inside it may hold text, or see what is wrong, without more bytes */
  u->inside = true;
  z->next_in = (unsigned char *)u->raw + u->at, z->avail_in = (unsigned)(u->n - u->at);
  z->next_out = (unsigned char *)to, z->avail_out = (unsigned)room;
  int code = inflate(z, Z_NO_FLUSH);
  u->at = u->n - z->avail_in;
  *gave = room - z->avail_out;
  if (code == Z_STREAM_END) {
    u->inside = false;
    u->ended = true;
    code = inflateReset(z);
  }
  if (code == Z_MEM_ERROR) return moon_fail(MOON_ENOMEM, "%s: no memory to unpack it", s->name);
  return code == Z_OK || code == Z_BUF_ERROR ? moon_ok() : broken(s);
}

static moon_status step_zstd(const moon_stream *s, char *to, size_t room, size_t *gave) {
  moon_unpacker *u = s->unpacker;
  ZSTD_inBuffer in = {u->raw, u->n, u->at};
  ZSTD_outBuffer out = {to, room, 0};
  size_t hint = ZSTD_decompressStream(u->zstd, &out, &in);
  if (ZSTD_isError(hint)) {
    if (ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation)
      return moon_fail(MOON_ENOMEM, "%s: no memory to unpack it", s->name);
    if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge)
      return moon_fail(MOON_EFORMAT, "%s: unpacking it needs over 128 MiB; was it packed with --long?", s->name);
    return broken(s);
  }
  u->at = in.pos;
  u->inside = hint != 0;
  *gave = out.pos;
  return moon_ok();
}

/* Into pieces of one size, whatever is asked for: zstd sees another fault, or none, where it has room for a whole frame. */
static moon_status unpack(moon_stream *s) {
  moon_unpacker *u = s->unpacker;
  u->text_at = 0;
  for (u->text_n = 0; !u->text_n;) {
    bool drained = u->at == u->n;
    if (drained) {
      u->at = u->n = 0;
      MOON_TRY(read_raw(s, u->raw, RAW, &u->n));
    }
    if (drained && !u->n && !u->inside) return moon_ok();
    size_t before = u->at;
    /* At the end of the file zstd may still hold text that it had no room for. */
    MOON_TRY((u->packing == GZIP ? step_gzip : step_zstd)(s, u->text, TEXT, &u->text_n));
    if (!u->n && !u->text_n && u->at == before) return moon_fail(MOON_EFORMAT, "%s: the compressed file is truncated", s->name);
  }
  return moon_ok();
}

static moon_status read_unpacked(moon_stream *s, char *to, size_t room, size_t *got) {
  moon_unpacker *u = s->unpacker;
  if (u->text_at == u->text_n) MOON_TRY(unpack(s));
  *got = u->text_n - u->text_at < room ? u->text_n - u->text_at : room;
  memcpy(to, u->text + u->text_at, *got);
  u->text_at += *got;
  return moon_ok();
}

static moon_status read_some(moon_stream *s, char *to, size_t room, size_t *got) {
  moon_unpacker *u = s->unpacker;
  if (u->packing != PLAIN) return read_unpacked(s, to, room, got);
  if (u->at == u->n) return read_raw(s, to, room, got);
  *got = u->n - u->at < room ? u->n - u->at : room; /* what was looked at for the magic bytes */
  memcpy(to, u->raw + u->at, *got);
  u->at += *got;
  return moon_ok();
}

/* ---- the buffer ------------------------------------------------------------------------------------------------------------- */

moon_status moon_stream_more(moon_stream *s) {
  if (s->at) {
    memmove(s->data, s->data + s->at, s->n - s->at);
    s->n -= s->at;
    s->at = 0;
  }
  size_t room = s->n > s->block ? s->n : s->block, got;
  MOON_TRY(moon_grow(&s->data, &s->cap, s->n + room + MOON_STREAM_PAD, 1));
  MOON_TRY(read_some(s, s->data + s->n, room, &got));
  s->ended = !got;
  s->n += got;
  s->total += got;
  memset(s->data + s->n, '\n', MOON_STREAM_PAD);
  return moon_ok();
}

moon_status moon_stream_fill(moon_stream *s, size_t bytes) {
  while (!s->ended && s->n - s->at < bytes) MOON_TRY(moon_stream_more(s));
  return moon_ok();
}

moon_status moon_stream_begin(moon_stream *s) {
  MOON_TRY(moon_stream_fill(s, 3));
  if (s->n >= 3 && !memcmp(s->data, "\xef\xbb\xbf", 3)) s->at = 3;
  if (s->n >= 2 && (!memcmp(s->data, "\xff\xfe", 2) || !memcmp(s->data, "\xfe\xff", 2)))
    return moon_fail(MOON_EFORMAT, "%s is UTF-16; it must be UTF-8", s->name);
  return moon_ok();
}

/* ---- open and close --------------------------------------------------------------------------------------------------------- */

static moon_status open_file(moon_stream *s, const char *path) {
  s->file = open(path, O_RDONLY | O_CLOEXEC);
  if (s->file >= 0) return moon_ok();
  if (errno == ENOENT) return moon_fail(MOON_ENOTFOUND, "%s: there is no such file", path);
  return moon_fail(MOON_EIO, "%s: %s", path, strerror(errno));
}

static moon_status open_unpacker(moon_stream *s) {
  moon_unpacker *u = s->unpacker = moon_calloc(1, sizeof *u);
  if (!u) return moon_fail(MOON_ENOMEM, "no memory to read %s", s->name);
  for (size_t got = 1; got && u->n < MAGIC; u->n += got) MOON_TRY(read_raw(s, u->raw + u->n, RAW - u->n, &got));
  packing found = packing_of((const unsigned char *)u->raw, u->n);
  bool fine = true;
  if (found == GZIP) fine = inflateInit2(&u->gzip, 15 + 16) == Z_OK;
  if (found == ZSTD) fine = (u->zstd = ZSTD_createDStream()) != NULL;
  if (!fine) return moon_fail(MOON_ENOMEM, "%s: no memory to unpack it", s->name);
  u->packing = found;
  return moon_ok();
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

moon_status moon_stream_open(moon_stream *s, const moon_input *input, size_t block) {
  *s = (moon_stream){.name = input->name ? input->name : base_name(input->path), .file = -1, .block = block ? block : BLOCK};
  if (input->path)
    MOON_TRY(open_file(s, input->path));
  else
    s->memory = input->bytes, s->memory_n = input->n;
  moon_status status = open_unpacker(s);
  if (status.code) moon_stream_close(s);
  return status;
}

void moon_stream_close(moon_stream *s) {
  moon_unpacker *u = s->unpacker;
  if (u && u->packing == GZIP) inflateEnd(&u->gzip);
  if (u && u->packing == ZSTD) ZSTD_freeDStream(u->zstd);
  if (s->file >= 0) close(s->file);
  moon_free(u);
  moon_free(s->data);
  s->unpacker = NULL;
  s->data = NULL;
  s->file = -1;
}
