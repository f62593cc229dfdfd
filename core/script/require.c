/* require.c - how a user's chunk is loaded, and the sandbox's require.
 *
 * A script may ask for "moonshelf", "cjson", and Lua files beside itself: require "rules.winter" reads rules/winter.lua in the
 * script's folder. Names are letters, digits, '_' and '-' between single dots, so they cannot climb out of it. Chunks are text:
 * bytecode is not checked by Lua and could break the host. */
#include <ctype.h>
#include <string.h>

#include "script/internal.h"

enum { MODULE_LIMIT = 4 * 1024 * 1024 };
enum { LINES_AHEAD = 400 }; /* how far an option may stand from the word that it belongs to */
static const char loaded_key = 0; /* registry: name -> value, or false while it loads */
static const char source_key = 0; /* registry: name -> text of a chunk, to find the line of an option */

static void keep_source(lua_State *L, const char *name, const char *source, size_t n) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &source_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &source_key);
  }
  lua_pushlstring(L, source, n);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Whether `key =` stands at p, as a name of its own and not as a comparison. */
static bool is_option(const char *start, const char *p, const char *key, size_t n) {
  if ((p > start && is_name(p[-1])) || strncmp(p, key, n)) return false;
  p += n;
  while (*p == ' ' || *p == '\t') p++;
  return p[0] == '=' && p[1] != '=';
}

/* A table carries no lines, so an option is looked for in the text, from the line of its word on. */
int moon_option_line(lua_State *L) {
  size_t n, size;
  const char *file = luaL_checkstring(L, 1), *key = luaL_checklstring(L, 2, &n);
  lua_Integer line = luaL_checkinteger(L, 3);
  if (!n || lua_rawgetp(L, LUA_REGISTRYINDEX, &source_key) != LUA_TTABLE || lua_getfield(L, -1, file) != LUA_TSTRING) return 0;
  const char *start = lua_tolstring(L, -1, &size), *p = start;
  for (lua_Integer at = 1; at < line && p; at++) p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
  for (lua_Integer last = line + LINES_AHEAD; p && *p && line < last; p++) {
    if (is_option(start, p, key, n)) {
      lua_pushinteger(L, line);
      return 1;
    }
    line += *p == '\n';
  }
  return 0;
}

int moon_source_line(lua_State *L) {
  const char *file = luaL_checkstring(L, 1);
  lua_Integer line = luaL_checkinteger(L, 2);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &source_key) != LUA_TTABLE || lua_getfield(L, -1, file) != LUA_TSTRING) return 0;
  const char *p = lua_tostring(L, -1);
  for (lua_Integer at = 1; at < line && p; at++) p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
  if (!p) return 0;
  lua_pushlstring(L, p, strcspn(p, "\n"));
  return 1;
}

void moon_load_chunk(lua_State *L, const char *name, const char *source, size_t n) {
  keep_source(L, name, source, n);
  if (n >= 3 && !memcmp(source, "\xEF\xBB\xBF", 3)) source += 3, n -= 3;
  if (n && source[0] == '#') /* "#!/usr/bin/env ..."; its newline stays, so that lines are counted right */
    while (n && source[0] != '\n') source++, n--;
  lua_pushfstring(L, "@%s", name);
  int status = luaL_loadbufferx(L, source, n, lua_tostring(L, -1), "t");
  lua_remove(L, -2);
  if (status == LUA_ERRSYNTAX && n && source[0] == LUA_SIGNATURE[0])
    luaL_error(L, "%s: this is bytecode; scripts are loaded as text only", name);
  if (status != LUA_OK) lua_error(L);
  moon_sandbox_push(L);
  lua_setupvalue(L, -2, 1);
}

/* "rules.winter" -> "rules/winter.lua", pushed. */
static const char *file_of(lua_State *L, const char *name) {
  bool fine = *name != 0;
  for (const char *p = name; *p; p++) {
    bool dot = *p == '.' && p > name && p[-1] != '.' && p[1];
    fine = fine && (dot || isalnum((unsigned char)*p) || *p == '_' || *p == '-');
  }
  if (!fine) luaL_error(L, "require: '%s' is not a module's name (letters, digits, '_' and '-', with dots for folders)", name);
  return lua_pushfstring(L, "%s.lua", luaL_gsub(L, name, ".", "/"));
}

/* Kept for whoever stores the script: a bundle has to run without its folder. */
static moon_status keep_required(moon_host *host, const char *file, const moon_buf *buf) {
  MOON_TRY(moon_grow(&host->required, &host->required_cap, host->required_n + 1, sizeof *host->required));
  moon_script fresh = {moon_strdup(file), moon_strndup(buf->data ? buf->data : "", buf->n), buf->n};
  if (fresh.name && fresh.text) {
    host->required[host->required_n++] = fresh;
    return moon_ok();
  }
  moon_free(fresh.name);
  moon_free(fresh.text);
  return moon_fail(MOON_ENOMEM, "no memory for %s", file);
}

size_t moon_host_required(const moon_host *host, const moon_script **out) {
  *out = host->required;
  return host->required_n;
}

void moon_required_free(moon_host *host) {
  for (size_t i = 0; i < host->required_n; i++) {
    moon_free(host->required[i].name);
    moon_free(host->required[i].text);
  }
  moon_free(host->required);
}

static int load_beside(lua_State *L, moon_host *host, const char *name) {
  const char *file = file_of(L, name);
  if (!host->folder && !host->options.read) luaL_error(L, "require: '%s': a script from memory has no folder to look in", name);
  const char *path = lua_pushfstring(L, "%s/%s", host->folder ? host->folder : "", file);
  const moon_chunk *chunk;
  moon_status st = moon_chunks_read(host, path, file, MODULE_LIMIT, &chunk);
  if (!st.code) st = keep_required(host, file, &chunk->bytes);
  if (st.code) luaL_error(L, "require: %s", st.message);
  moon_budget_charge(L, host, chunk->bytes.n); /* it is parsed */
  moon_load_chunk(L, file, chunk->bytes.data ? chunk->bytes.data : "", chunk->bytes.n);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  return 1;
}

int moon_sandbox_require(lua_State *L) {
  moon_host *host = moon_host_of(L);
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
  }
  int type = lua_getfield(L, 2, name);
  if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) luaL_error(L, "require: '%s' requires itself (a circle)", name);
  if (type != LUA_TNIL) return 1;
  lua_pop(L, 1);
  lua_pushboolean(L, 0);
  lua_setfield(L, 2, name);
  if (!strcmp(name, "moonshelf"))
    moon_lua_open(L);
  else if (!strcmp(name, "cjson"))
    moon_guard_json(L);
  else
    load_beside(L, host, name);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}
