/* wordpiece.c - BERT's tokenizer in one pass over a text.
 *
 * A character is cleaned, stripped of accents and lowered, and what is left of it goes to the word at hand or ends it. A word longer than the
 * limit is only counted, so a word has a fixed room and nothing is allocated. Marks are dropped right after a character's decomposition, so
 * the canonical order of marks, which would need to look ahead, does not matter.
 *
 * Unicode's properties are utf8proc's. */
#include <jansson.h>
#include <string.h>
#include <utf8proc.h>

#include "text/text.h"

enum { LONGEST = 100 /* characters of a word */, SPECIALS = 5, UNK = 0, CLS, SEP };
static const char *const special_names[SPECIALS] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};

struct moon_wordpiece {
  moon_wordpiece_options how;
  moon_dict *tokens;
  uint32_t *ids;  /* by the dictionary's code: the line, of equal ones the last */
  size_t size;    /* lines */
  size_t longest; /* bytes of a token */
  uint32_t special[SPECIALS]; /* MOON_NONE: not in the vocabulary */
};

/* ---- the vocabulary ---------------------------------------------------------------------------------------------------------- */

moon_status moon_wordpiece_configure(const char *json, size_t n, moon_wordpiece_options *out) {
  *out = (moon_wordpiece_options){.lower_case = true, .strip_accents = true, .split_cjk = true};
  if (!n) return moon_ok();
  json_error_t error;
  json_t *root = json_loadb(json, n, JSON_DECODE_INT_AS_REAL, &error); /* model_max_length may be 10^30 */
  if (!json_is_object(root)) {
    json_decref(root);
    return moon_fail(MOON_EFORMAT, "tokenizer_config.json: %s", root ? "it is not an object" : error.text);
  }
  const json_t *lower = json_object_get(root, "do_lower_case"), *strip = json_object_get(root, "strip_accents"),
               *cjk = json_object_get(root, "tokenize_chinese_chars");
  double length = json_number_value(json_object_get(root, "model_max_length"));
  if (json_is_boolean(lower)) out->lower_case = json_is_true(lower);
  out->strip_accents = json_is_boolean(strip) ? json_is_true(strip) : out->lower_case;
  if (json_is_boolean(cjk)) out->split_cjk = json_is_true(cjk);
  if (length >= 1 && length <= 1e6) out->max_length = (size_t)length;
  json_decref(root);
  return moon_ok();
}

static moon_status add_token(moon_wordpiece *w, size_t *cap, const char *token, size_t n) {
  uint32_t code;
  if (w->size >= MOON_NONE - 1) return moon_fail(MOON_ELIMIT, "vocab.txt: too many tokens");
  MOON_TRY(moon_dict_add(w->tokens, token, n, &code));
  MOON_TRY(moon_grow(&w->ids, cap, (size_t)code + 1, sizeof *w->ids));
  w->ids[code] = (uint32_t)w->size++;
  if (n > w->longest) w->longest = n;
  return moon_ok();
}

static uint32_t find(const moon_wordpiece *w, const char *token, size_t n) {
  uint32_t code = moon_dict_find(w->tokens, token, n);
  return code == MOON_NONE ? MOON_NONE : w->ids[code];
}

static moon_status read_vocab(moon_wordpiece *w, const char *vocab, size_t size) {
  size_t cap = 0;
  MOON_TRY(moon_dict_new(&w->tokens));
  for (const char *at = vocab, *end = vocab + size; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t n = (size_t)((stop ? stop : end) - at);
    MOON_TRY(add_token(w, &cap, at, n && at[n - 1] == '\r' ? n - 1 : n));
    at = stop ? stop + 1 : end;
  }
  for (int i = 0; i < SPECIALS; i++) {
    w->special[i] = find(w, special_names[i], strlen(special_names[i]));
    if (w->special[i] == MOON_NONE && i <= SEP) return moon_fail(MOON_EFORMAT, "vocab.txt: there is no token %s", special_names[i]);
  }
  return moon_ok();
}

moon_status moon_wordpiece_new(const char *vocab, size_t n, const moon_wordpiece_options *options, moon_wordpiece **out) {
  *out = NULL;
  moon_wordpiece *w = moon_calloc(1, sizeof *w);
  if (!w) return moon_fail(MOON_ENOMEM, "no memory for a tokenizer");
  w->how = *options;
  moon_status status = read_vocab(w, vocab, n);
  if (status.code) moon_wordpiece_free(w);
  else *out = w;
  return status;
}

void moon_wordpiece_free(moon_wordpiece *w) {
  if (!w) return;
  moon_dict_free(w->tokens);
  moon_free(w->ids);
  moon_free(w);
}

size_t moon_wordpiece_size(const moon_wordpiece *w) { return w->size; }

/* ---- words ------------------------------------------------------------------------------------------------------------------- */

typedef struct run {
  const moon_wordpiece *w;
  uint32_t *ids;
  size_t n, most;    /* most: without [SEP] */
  size_t chars, size; /* of the word at hand; size is right for at most LONGEST characters */
  char room[2 + 4 * LONGEST]; /* the word from 2 on, so that "##" fits before any part of it */
} run;

static void put(run *r, uint32_t id) {
  if (r->n < r->most) r->ids[r->n++] = id;
}

/* The pieces of the word at hand, the longest first; false where the vocabulary cannot spell it. Overwrites what it has passed. */
static bool cut_word(run *r, uint32_t pieces[LONGEST], size_t *n) {
  const moon_wordpiece *w = r->w;
  char *at = r->room + 2, *end = at + r->size;
  for (*n = 0; at < end; (*n)++) {
    char *from = *n ? memcpy(at - 2, "##", 2) : at, *stop = end;
    if ((size_t)(end - from) > w->longest) stop = from + w->longest;
    for (pieces[*n] = MOON_NONE; stop > at; stop--) {
      if (stop < end && ((unsigned char)*stop & 0xc0) == 0x80) continue; /* within a character */
      if ((pieces[*n] = find(w, from, (size_t)(stop - from))) != MOON_NONE) break;
    }
    if (pieces[*n] == MOON_NONE) return false;
    at = stop;
  }
  return true;
}

static void end_word(run *r) {
  uint32_t pieces[LONGEST];
  size_t n = 0;
  if (r->chars && r->n < r->most) {
    if (r->chars > LONGEST || !cut_word(r, pieces, &n)) put(r, r->w->special[UNK]);
    else
      for (size_t i = 0; i < n; i++) put(r, pieces[i]);
  }
  r->chars = r->size = 0;
}

static void add_to_word(run *r, utf8proc_int32_t c) {
  if (r->chars++ < LONGEST) r->size += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)r->room + 2 + r->size);
}

/* ---- characters -------------------------------------------------------------------------------------------------------------- */

static bool is_cjk(utf8proc_int32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool is_blank(utf8proc_int32_t c) {
  utf8proc_category_t of = utf8proc_category(c);
  return c == '\t' || c == '\n' || c == '\r' || of == UTF8PROC_CATEGORY_ZS || of == UTF8PROC_CATEGORY_ZL || of == UTF8PROC_CATEGORY_ZP;
}

static bool is_other(utf8proc_int32_t c) { /* control, format, private, not assigned */
  utf8proc_category_t of = utf8proc_category(c);
  return c == 0xfffd || of == UTF8PROC_CATEGORY_CN || (of >= UTF8PROC_CATEGORY_CC && of <= UTF8PROC_CATEGORY_CO);
}

/* BERT counts all signs of ASCII, "$" and "^" too. */
static bool is_punctuation(utf8proc_int32_t c) {
  if (c < 128) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  utf8proc_category_t of = utf8proc_category(c);
  return of >= UTF8PROC_CATEGORY_PC && of <= UTF8PROC_CATEGORY_PO;
}

static void add_plain(run *r, utf8proc_int32_t c) {
  bool apart = is_punctuation(c);
  if (apart) end_word(r);
  add_to_word(r, c);
  if (apart) end_word(r);
}

static void add_lowered(run *r, utf8proc_int32_t c) {
  if (!r->w->how.lower_case) {
    add_plain(r, c);
  } else if (c == 0x130) { /* the one letter that two become */
    add_plain(r, 'i');
    add_plain(r, 0x307);
  } else {
    add_plain(r, utf8proc_tolower(c));
  }
}

static void add_stripped(run *r, utf8proc_int32_t c) {
  utf8proc_int32_t parts[32];
  int boundary = 0;
  utf8proc_ssize_t n = c < 128 ? 0 : utf8proc_decompose_char(c, parts, 32, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
  if (n < 1 || n > 32) n = 1, parts[0] = c;
  for (utf8proc_ssize_t i = 0; i < n; i++)
    if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) add_lowered(r, parts[i]);
}

static void add(run *r, utf8proc_int32_t c) {
  if (is_blank(c)) {
    end_word(r);
  } else if (!is_other(c)) {
    bool apart = r->w->how.split_cjk && is_cjk(c);
    if (apart) end_word(r);
    if (r->w->how.strip_accents) add_stripped(r, c);
    else add_lowered(r, c);
    if (apart) end_word(r);
  }
}

/* Which special token stands there in full; SPECIALS where none does. */
static int special_at(const moon_wordpiece *w, const char *text, size_t n) {
  int i = 0;
  for (; i < SPECIALS; i++) {
    size_t size = strlen(special_names[i]);
    if (w->special[i] != MOON_NONE && size <= n && !memcmp(text, special_names[i], size)) break;
  }
  return i;
}

size_t moon_wordpiece_encode(const moon_wordpiece *w, const char *text, size_t n, uint32_t *ids, size_t most) {
  run r = {.w = w, .ids = ids, .most = most - 1};
  put(&r, w->special[CLS]);
  for (size_t i = 0; i < n && r.n < r.most;) {
    utf8proc_int32_t c;
    int special = text[i] == '[' ? special_at(w, text + i, n - i) : SPECIALS;
    size_t length = text[i] ? moon_utf8_length(text + i, n - i) : 0;
    if (special < SPECIALS) {
      end_word(&r);
      put(&r, w->special[special]);
      length = strlen(special_names[special]);
    } else if (length && utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)length, &c) > 0) {
      add(&r, c);
    }
    i += length ? length : 1;
  }
  end_word(&r);
  ids[r.n] = w->special[SEP];
  return r.n + 1;
}
