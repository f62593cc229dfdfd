/* lua_tensor_file.c - tensors in files: .npy for one, safetensors for many by name, and what else of m.nn goes to a file.
 *
 * A file is written beside its place and moved there whole (moon_file_replace), so a half-written one is never found. Scripts in the
 * sandbox write none, and read only what lies beside them. */
#include <ctype.h>
#include <string.h>

#include "nn/nn.h"
#include "script/lua_tensor.h"

#define FILE_TYPE "moonshelf.tensor.file"
enum { HEADER_ROOM = 1 << 20 }; /* what a file may be larger than the tensors in it */

typedef struct file_box { /* what is read or written, freed whatever Lua raises */
  moon_buf bytes;
  moon_safetensors *file;
} file_box;

static void close_file(file_box *self) {
  moon_safetensors_close(self->file);
  moon_buf_free(&self->bytes);
  self->file = NULL;
}

static int file_collect(lua_State *L) {
  close_file(luaL_checkudata(L, 1, FILE_TYPE));
  return 0;
}

static file_box *push_box(lua_State *L) {
  file_box *self = lua_newuserdatauv(L, sizeof *self, 0);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, FILE_TYPE);
  return self;
}

/* ---- paths ----------------------------------------------------------------------------------------------------------------- */

static const char *path_arg(lua_State *L, int index, const char *what) {
  size_t n;
  if (lua_type(L, index) != LUA_TSTRING) moon_tensor_raise(L, "%s: a path is wanted, got %s", what, luaL_typename(L, index));
  const char *path = lua_tolstring(L, index, &n);
  if (strlen(path) != n) moon_tensor_raise(L, "%s: there is a zero byte in the path", what);
  return path;
}

/* In the sandbox, as for require: a file beside the script or in folders under it. No part of the name may begin with a dot. */
static const char *path_of(lua_State *L, const moon_tensor_home *home, const char *name, const char *what) {
  if (!home->host) return name;
  bool fine = *name != 0;
  for (const char *p = name; *p && fine; p++) {
    bool begins = p == name || p[-1] == '/';
    fine = isalnum((unsigned char)*p) || *p == '_' || *p == '-' || (!begins && (*p == '.' || (*p == '/' && p[1])));
  }
  if (!fine)
    moon_tensor_raise(L, "%s: '%s' is not a file beside the script (letters, digits, '_', '-' and '.', with '/' for folders)",
                      what, name);
  if (!home->host->folder) moon_tensor_raise(L, "%s: '%s': a script from memory has no folder to look in", what, name);
  return lua_pushfstring(L, "%s/%s", home->host->folder, name);
}

/* ---- bytes ----------------------------------------------------------------------------------------------------------------- */

static file_box *read_box(lua_State *L, moon_tensor_home *home, int index, const char *what) {
  const char *path = path_of(L, home, path_arg(L, index, what), what), *prefix = lua_pushfstring(L, "%s: ", what);
  size_t limit = moon_account_limit(home->account);
  file_box *open = push_box(L);
  MOON_TENSOR_CALL(L, home, prefix, moon_file_read(path, limit ? limit + HEADER_ROOM : 0, &open->bytes));
  moon_tensor_charge(L, home, (double)open->bytes.n / 64);
  return open;
}

const moon_buf *moon_bytes_read(lua_State *L, moon_tensor_home *home, int index, const char *what) {
  return &read_box(L, home, index, what)->bytes;
}

moon_buf *moon_bytes_push(lua_State *L) {
  return &push_box(L)->bytes;
}

void moon_bytes_may_write(lua_State *L, const moon_tensor_home *home, int index, const char *what) {
  if (home->host) moon_tensor_raise(L, "%s: a script in the sandbox writes no files", what);
  path_arg(L, index, what);
}

void moon_bytes_write(lua_State *L, moon_buf *bytes, int index, const char *what) {
  moon_status st = moon_file_replace(path_arg(L, index, what), bytes->data ? bytes->data : "", bytes->n);
  moon_buf_free(bytes);
  if (st.code) moon_tensor_raise(L, "%s: %s", what, st.message);
}

/* ---- loading --------------------------------------------------------------------------------------------------------------- */

/* All tensors of a safetensors file by name, as a table at the top. */
static void push_named(lua_State *L, moon_tensor_home *home, const file_box *open) {
  const char *name;
  moon_dtype dtype;
  int dims;
  const size_t *shape;
  moon_status st;
  lua_newtable(L);
  for (size_t i = 0; !(st = moon_safetensors_at(open->file, i, &name, &dtype, &dims, &shape)).code; i++) {
    moon_tensor **t = moon_tensor_push(L, home);
    MOON_TENSOR_CALL(L, home, "m.tensor.load: ", moon_tensor_new_in(home->account, dtype, dims, shape, t));
    moon_tensor_charge(L, home, (double)moon_tensor_count(*t) / 16);
    MOON_TENSOR_CALL(L, home, "m.tensor.load: ", moon_safetensors_read(open->file, name, *t));
    lua_setfield(L, -2, name);
  }
  if (st.code != MOON_ENOTFOUND) moon_tensor_raise(L, "m.tensor.load: %s", st.message);
}

/* m.tensor.load(path): a tensor of a .npy file, a table of tensors by name of a .safetensors file */
int moon_tensor_load_file(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  file_box *open = read_box(L, home, 1, "m.tensor.load");
  if (open->bytes.n >= 6 && !memcmp(open->bytes.data, "\x93NUMPY", 6)) {
    moon_tensor **out = moon_tensor_push(L, home);
    MOON_TENSOR_CALL(L, home, "m.tensor.load: ", moon_npy_read(open->bytes.data, open->bytes.n, home->account, out));
  } else {
    MOON_TENSOR_CALL(L, home, "m.tensor.load: neither .npy nor ",
                     moon_safetensors_open(open->bytes.data, open->bytes.n, &open->file));
    push_named(L, home, open);
  }
  close_file(open);
  return 1;
}

/* ---- saving ---------------------------------------------------------------------------------------------------------------- */

/* The name at the top but one. */
static void check_name(lua_State *L) {
  size_t n;
  if (lua_type(L, -2) != LUA_TSTRING) moon_tensor_raise(L, "m.tensor.save: names are strings, got a %s", luaL_typename(L, -2));
  const char *name = lua_tolstring(L, -2, &n);
  if (strlen(name) != n) moon_tensor_raise(L, "m.tensor.save: there is a zero byte in the name '%s'", name);
  if (!moon_tensor_is(L, -1)) moon_tensor_raise(L, "m.tensor.save: '%s' is a %s, not a tensor", name, luaL_typename(L, -1));
}

/* What the table at 2 names, each contiguous. Names and tensors are held in a list of our own, whatever becomes of the table. */
static moon_named_tensor *named_at_2(lua_State *L, moon_tensor_home *home, size_t *n) {
  lua_Integer held = 0;
  lua_newtable(L);
  int list = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, 2); lua_settop(L, list + 1)) {
    check_name(L);
    const moon_tensor *t = moon_tensor_check(L, -1, "m.tensor.save");
    moon_tensor_charge(L, home, (double)moon_tensor_count(t) / 16);
    if (!moon_tensor_is_contiguous(t)) {
      moon_tensor **copy = moon_tensor_push(L, home);
      MOON_TENSOR_CALL(L, home, "m.tensor.save: ", moon_tensor_contiguous(t, copy));
    }
    lua_rawseti(L, list, held += 2);
    lua_pushvalue(L, list + 1);
    lua_rawseti(L, list, held - 1);
  }
  *n = (size_t)held / 2;
  moon_named_tensor *all = lua_newuserdatauv(L, (*n + 1) * sizeof *all, 0);
  for (size_t i = 0; i < *n; i++, lua_pop(L, 2)) {
    lua_rawgeti(L, list, 2 * (lua_Integer)i + 1);
    lua_rawgeti(L, list, 2 * (lua_Integer)i + 2);
    all[i] = (moon_named_tensor){lua_tostring(L, -2), moon_tensor_check(L, -1, "m.tensor.save")};
  }
  return all;
}

/* m.tensor.save(path, tensor) as .npy, m.tensor.save(path, { name = tensor, ... }) as safetensors */
int moon_tensor_save_file(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  lua_settop(L, 2);
  moon_bytes_may_write(L, home, 1, "m.tensor.save");
  bool one = moon_tensor_is(L, 2);
  if (!one && lua_type(L, 2) != LUA_TTABLE)
    return moon_tensor_raise(L, "m.tensor.save: a tensor, or tensors by name, are wanted second, got %s", luaL_typename(L, 2));
  size_t n = 0;
  const moon_named_tensor *all = one ? NULL : named_at_2(L, home, &n);
  moon_buf *bytes = moon_bytes_push(L);
  if (one)
    MOON_TENSOR_CALL(L, home, "m.tensor.save: ", moon_npy_write(moon_tensor_check(L, 2, "m.tensor.save"), bytes));
  else
    MOON_TENSOR_CALL(L, home, "m.tensor.save: ", moon_safetensors_write(all, n, bytes));
  moon_bytes_write(L, bytes, 1, "m.tensor.save");
  return 0;
}

/* tensor:save(path), as .npy */
static int save(lua_State *L) {
  moon_tensor_home *home = moon_tensor_home_of(L);
  const moon_tensor *t = moon_tensor_check(L, 1, "tensor:save");
  moon_bytes_may_write(L, home, 2, "tensor:save");
  moon_buf *bytes = moon_bytes_push(L);
  MOON_TENSOR_CALL(L, home, "tensor:save: ", moon_npy_write(t, bytes));
  moon_bytes_write(L, bytes, 2, "tensor:save");
  return 0;
}

/* ---- registration ---------------------------------------------------------------------------------------------------------- */

void moon_tensor_add_files(lua_State *L, int home) {
  static const luaL_Reg files[] = {{"save", save}, {NULL, NULL}};
  moon_tensor_set_functions(L, home, files);
  luaL_newmetatable(L, FILE_TYPE);
  lua_pushcfunction(L, file_collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
