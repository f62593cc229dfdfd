/* patterns.c - string.find, match, gmatch and gsub with a budget.
 *
 * A pattern with several repetitions can try exponentially many ways before it fails, all inside one C call that no hook sees. So
 * the sandbox has its own matcher for Lua's pattern language (the manual's 6.4.1, after the backtracking design of Lua 5.4's
 * lstrlib.c by R. Ierusalimschy et al., MIT): the same answers, and every step is counted and charged. */
#include <ctype.h>
#include <string.h>

#include "script/internal.h"

enum { CAPTURES_MAX = 32, DEPTH_MAX = 200, STEPS_PER_CHARGE = 256 };
enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

typedef struct matcher {
  const char *text, *text_end, *pattern_end;
  lua_State *L;
  moon_host *host;
  int depth, level;
  size_t steps;
  struct { const char *start; ptrdiff_t n; } capture[CAPTURES_MAX];
} matcher;

static const char *match(matcher *m, const char *s, const char *p);

static void step(matcher *m, size_t steps) {
  m->steps += steps;
  if (m->steps < STEPS_PER_CHARGE) return;
  moon_budget_charge(m->L, m->host, m->steps / 2);
  m->steps = 0;
}

/* ---- single characters and sets */

/* Past the end of the single item that begins at p: "a", "%d", "[^x-z]". */
static const char *item_end(matcher *m, const char *p) {
  if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends unexpectedly)");
  char c = *p++;
  if (c == '%') {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (c != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  do { /* a ']' that comes first stands for itself */
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    c = *p++;
    if (c == '%') {
      if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
      p++;
    }
  } while (p == m->pattern_end || *p != ']');
  return p + 1;
}

static bool in_class(int c, int class) {
  bool hit;
  switch (tolower(class)) {
    case 'a': hit = isalpha(c); break;
    case 'c': hit = iscntrl(c); break;
    case 'd': hit = isdigit(c); break;
    case 'g': hit = isgraph(c); break;
    case 'l': hit = islower(c); break;
    case 'p': hit = ispunct(c); break;
    case 's': hit = isspace(c); break;
    case 'u': hit = isupper(c); break;
    case 'w': hit = isalnum(c); break;
    case 'x': hit = isxdigit(c); break;
    default: return class == c;
  }
  return isupper(class) ? !hit : hit;
}

/* p at '[', last at its ']'. */
static bool in_set(int c, const char *p, const char *last) {
  bool wanted = true;
  if (p[1] == '^') wanted = false, p++;
  while (++p < last) {
    if (*p == '%') {
      p++;
      if (in_class(c, (unsigned char)*p)) return wanted;
    } else if (p[1] == '-' && p + 2 < last) {
      p += 2;
      if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) return wanted;
    } else if ((unsigned char)*p == c) {
      return wanted;
    }
  }
  return !wanted;
}

static bool single(matcher *m, const char *s, const char *p, const char *end) {
  step(m, (size_t)(end - p)); /* a set is walked through */
  if (s >= m->text_end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
    case '.': return true;
    case '%': return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(c, p, end - 1);
    default: return (unsigned char)*p == c;
  }
}

/* ---- repetitions, captures, %b and %f */

static const char *greedy(matcher *m, const char *s, const char *p, const char *end) {
  ptrdiff_t i = 0;
  while (single(m, s + i, p, end)) i++;
  for (; i >= 0; i--) {
    const char *rest = match(m, s + i, end + 1);
    if (rest) return rest;
  }
  return NULL;
}

static const char *lazy(matcher *m, const char *s, const char *p, const char *end) {
  for (;;) {
    const char *rest = match(m, s, end + 1);
    if (rest) return rest;
    if (!single(m, s, p, end)) return NULL;
    s++;
  }
}

static const char *open_capture(matcher *m, const char *s, const char *p, ptrdiff_t what) {
  if (m->level >= CAPTURES_MAX) luaL_error(m->L, "too many captures");
  m->capture[m->level].start = s;
  m->capture[m->level].n = what;
  m->level++;
  const char *rest = match(m, s, p);
  if (!rest) m->level--;
  return rest;
}

static const char *close_capture(matcher *m, const char *s, const char *p) {
  int l = m->level - 1;
  while (l >= 0 && m->capture[l].n != CAPTURE_OPEN) l--;
  if (l < 0) luaL_error(m->L, "invalid pattern capture");
  m->capture[l].n = s - m->capture[l].start;
  const char *rest = match(m, s, p);
  if (!rest) m->capture[l].n = CAPTURE_OPEN;
  return rest;
}

static const char *balanced(matcher *m, const char *s, const char *p) {
  if (p >= m->pattern_end - 1) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->text_end || *s != *p) return NULL;
  int depth = 1;
  while (++s < m->text_end) {
    step(m, 1);
    if (*s == p[1]) {
      if (--depth == 0) return s + 1;
    } else if (*s == *p) {
      depth++;
    }
  }
  return NULL;
}

static const char *back_reference(matcher *m, const char *s, int digit) {
  int l = digit - '1';
  if (l < 0 || l >= m->level || m->capture[l].n == CAPTURE_OPEN) luaL_error(m->L, "invalid capture index %%%d", l + 1);
  if (m->capture[l].n == CAPTURE_POSITION) return NULL;
  size_t n = (size_t)m->capture[l].n;
  moon_budget_charge(m->L, m->host, n / 16);
  return (size_t)(m->text_end - s) >= n && !memcmp(m->capture[l].start, s, n) ? s + n : NULL;
}

static bool at_frontier(matcher *m, const char *s, const char *set, const char *end) {
  int before = s == m->text ? 0 : (unsigned char)s[-1], after = s < m->text_end ? (unsigned char)*s : 0;
  return !in_set(before, set, end - 1) && in_set(after, set, end - 1);
}

/* ---- the matcher: returns the end of the match of pattern p at s, or NULL */

static const char *match_here(matcher *m, const char *s, const char *p) {
  while (p != m->pattern_end) {
    step(m, 1);
    if (*p == '(')
      return p + 1 < m->pattern_end && p[1] == ')' ? open_capture(m, s, p + 2, CAPTURE_POSITION)
                                                   : open_capture(m, s, p + 1, CAPTURE_OPEN);
    if (*p == ')') return close_capture(m, s, p + 1);
    if (*p == '$' && p + 1 == m->pattern_end) return s == m->text_end ? s : NULL;
    char escaped = *p == '%' && p + 1 < m->pattern_end ? p[1] : 0;
    if (escaped == 'b') {
      s = balanced(m, s, p + 2);
      if (!s) return NULL;
      p += 4;
      continue;
    }
    if (escaped == 'f') {
      p += 2;
      if (p == m->pattern_end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
      const char *set_end = item_end(m, p);
      step(m, (size_t)(set_end - p));
      if (!at_frontier(m, s, p, set_end)) return NULL;
      p = set_end;
      continue;
    }
    if (isdigit((unsigned char)escaped)) {
      s = back_reference(m, s, (unsigned char)escaped);
      if (!s) return NULL;
      p += 2;
      continue;
    }
    const char *end = item_end(m, p);
    step(m, (size_t)(end - p));
    char repeat = end < m->pattern_end ? *end : 0;
    if (repeat == '*') return greedy(m, s, p, end);
    if (repeat == '-') return lazy(m, s, p, end);
    bool hit = single(m, s, p, end);
    if (repeat == '+') return hit ? greedy(m, s + 1, p, end) : NULL;
    if (repeat == '?') {
      const char *rest = hit ? match(m, s + 1, end + 1) : NULL;
      if (rest) return rest;
      p = end + 1;
      continue;
    }
    if (!hit) return NULL;
    s++;
    p = end;
  }
  return s;
}

static const char *match(matcher *m, const char *s, const char *p) {
  if (m->depth++ >= DEPTH_MAX) luaL_error(m->L, "pattern too complex");
  const char *rest = match_here(m, s, p);
  m->depth--;
  return rest;
}

/* ---- captures as Lua values */

static void push_capture(matcher *m, int i, const char *s, const char *end) {
  if (i >= m->level) {
    if (i) luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, s, (size_t)(end - s)); /* the whole match */
    return;
  }
  ptrdiff_t n = m->capture[i].n;
  if (n == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
  if (n == CAPTURE_POSITION)
    lua_pushinteger(m->L, m->capture[i].start - m->text + 1);
  else
    lua_pushlstring(m->L, m->capture[i].start, (size_t)n);
}

/* All captures, or the whole match where there are none (whole = 1). */
static int push_captures(matcher *m, const char *s, const char *end, int whole) {
  int n = m->level ? m->level : whole;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, s, end);
  return n;
}

static matcher matcher_of(lua_State *L, const char *text, size_t n, const char *pattern, size_t pattern_n) {
  matcher m;
  memset(&m, 0, sizeof m);
  m.text = text, m.text_end = text + n, m.pattern_end = pattern + pattern_n;
  m.L = L, m.host = moon_host_of(L);
  return m;
}

static size_t start_of(lua_Integer init, size_t n) {
  if (init > 0) return (size_t)init - 1;
  if (init == 0 || init < -(lua_Integer)n) return 0;
  return n + (size_t)init;
}

/* ---- find and match */

static bool is_plain(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (strchr("^$*+?.([%-", p[i]) && p[i]) return false;
  return true;
}

static int find_plain(lua_State *L, const char *s, size_t n, const char *p, size_t pn, size_t init) {
  moon_budget_charge(L, moon_host_of(L), (n - init) / 8);
  const char *at = pn ? memmem(s + init, n - init, p, pn) : s + init;
  if (!at) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, at - s + 1);
  lua_pushinteger(L, at - s + (ptrdiff_t)pn);
  return 2;
}

static int find_or_match(lua_State *L, bool find) {
  size_t n, pn;
  const char *s = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &pn);
  size_t init = start_of(luaL_optinteger(L, 3, 1), n);
  if (init > n) {
    lua_pushnil(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || is_plain(p, pn))) return find_plain(L, s, n, p, pn, init);
  matcher m = matcher_of(L, s, n, p, pn);
  bool anchored = pn && *p == '^';
  if (anchored) p++;
  for (const char *at = s + init; at <= m.text_end; at++) {
    m.level = m.depth = 0;
    const char *end = match(&m, at, p);
    if (end && find) {
      lua_pushinteger(L, at - s + 1);
      lua_pushinteger(L, end - s);
      return push_captures(&m, at, end, 0) + 2;
    }
    if (end) return push_captures(&m, at, end, 1);
    if (anchored) break;
  }
  lua_pushnil(L);
  return 1;
}

static int string_find(lua_State *L) { return find_or_match(L, true); }
static int string_match(lua_State *L) { return find_or_match(L, false); }

/* ---- gmatch: upvalues text, pattern, next start, end of the last match (both as offsets; -1: none) */

static int gmatch_next(lua_State *L) {
  size_t n, pn;
  const char *s = lua_tolstring(L, lua_upvalueindex(1), &n), *p = lua_tolstring(L, lua_upvalueindex(2), &pn);
  lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
  matcher m = matcher_of(L, s, n, p, pn);
  for (const char *at = s + from; at <= m.text_end; at++) {
    m.level = m.depth = 0;
    const char *end = match(&m, at, p);
    if (!end || end - s == last) continue;
    lua_pushinteger(L, end - s);
    lua_copy(L, -1, lua_upvalueindex(3));
    lua_copy(L, -1, lua_upvalueindex(4));
    lua_pop(L, 1);
    return push_captures(&m, at, end, 1);
  }
  return 0;
}

static int string_gmatch(lua_State *L) {
  size_t n;
  luaL_checklstring(L, 1, &n);
  luaL_checkstring(L, 2);
  size_t init = start_of(luaL_optinteger(L, 3, 1), n);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)(init > n ? n + 1 : init));
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_next, 4);
  return 1;
}

/* ---- gsub */

/* Adds the replacement string of argument 3 with %0-%9 and %% filled in. */
static void add_template(matcher *m, luaL_Buffer *out, const char *s, const char *end) {
  size_t n;
  const char *text = lua_tolstring(m->L, 3, &n);
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '%') {
      luaL_addchar(out, text[i]);
      continue;
    }
    char c = ++i < n ? text[i] : 0;
    if (c == '%')
      luaL_addchar(out, '%');
    else if (c == '0')
      luaL_addlstring(out, s, (size_t)(end - s));
    else if (isdigit((unsigned char)c)) {
      push_capture(m, c - '1', s, end);
      luaL_tolstring(m->L, -1, NULL);
      lua_remove(m->L, -2);
      luaL_addvalue(out);
    } else {
      luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
  }
}

/* Adds what replaces one match. */
static void add_match(matcher *m, luaL_Buffer *out, const char *s, const char *end, int type) {
  lua_State *L = m->L;
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    add_template(m, out, s, end);
    return;
  }
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    int n = push_captures(m, s, end, 1);
    lua_call(L, n, 1);
  } else {
    push_capture(m, 0, s, end);
    lua_gettable(L, 3);
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(out, s, (size_t)(end - s));
    return;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(out);
}

static int string_gsub(lua_State *L) {
  size_t n, pn;
  const char *s = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &pn);
  int type = lua_type(L, 3);
  luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                   "string/function/table");
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)n + 1), done = 0;
  if (type == LUA_TNUMBER) luaL_tolstring(L, 3, NULL), lua_replace(L, 3);
  matcher m = matcher_of(L, s, n, p, pn);
  bool anchored = pn && *p == '^';
  if (anchored) p++;
  const char *at = s, *last = NULL;
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (done < most) {
    m.level = m.depth = 0;
    const char *end = match(&m, at, p);
    if (end && end != last) {
      done++;
      add_match(&m, &out, at, end, type);
      at = last = end;
    } else if (at < m.text_end) {
      luaL_addchar(&out, *at++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&out, at, (size_t)(m.text_end - at));
  luaL_pushresult(&out);
  lua_pushinteger(L, done);
  return 2;
}

void moon_patterns_install(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
