/* lua_mask.c - masks: which items of a slate. They combine with &, | and ~.
 *
 * A mask belongs to items, not to positions: it remembers the slate's order when it was made, and is turned into today's order
 * when it is used. So a mask made before a boost still means the same items after it. Items that have left the slate are
 * forgotten. */
#include <string.h>

#include "script/internal.h"

#define MASK_TYPE "moonshelf.mask"

typedef struct mask {
  uint64_t call, order;
  size_t n;
  const uint32_t *item; /* [n] in the slate's arena, which outlives the call; masks of one order share it */
  uint8_t bits[];       /* [n] */
} mask;

static mask *check_mask(lua_State *L, moon_host *host, int index) {
  mask *self = luaL_testudata(L, index, MASK_TYPE);
  if (!self) {
    const char *type = luaL_getmetafield(L, index, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
    luaL_error(L, "a mask is wanted here (such as slate.price:lt(20)), got a %s", type);
  }
  if (self->call != host->call || !host->slate) luaL_error(L, "this mask was kept after its policy returned");
  return self;
}

/* The slate's items as they stand now. */
static const uint32_t *items_now(lua_State *L, moon_host *host) {
  const moon_slate *slate = host->slate;
  if (host->items && host->items_order == host->order) return host->items;
  uint32_t *items = moon_arena_alloc(slate->arena, (slate->n + 1) * sizeof *items);
  if (!items) luaL_error(L, "no memory");
  if (slate->n) memcpy(items, slate->item, slate->n * sizeof *items);
  host->items = items;
  host->items_order = host->order;
  return items;
}

static mask *new_mask(lua_State *L, moon_host *host) {
  const moon_slate *slate = host->slate;
  moon_budget_charge(L, host, slate->n / 8 + 1);
  const uint32_t *items = items_now(L, host);
  mask *self = lua_newuserdatauv(L, sizeof *self + slate->n, 0);
  self->call = host->call;
  self->order = host->order;
  self->n = slate->n;
  self->item = items;
  memset(self->bits, 0, slate->n);
  luaL_setmetatable(L, MASK_TYPE);
  return self;
}

uint8_t *moon_lua_mask_new(lua_State *L, moon_host *host) { return new_mask(L, host)->bits; }

static size_t slot_of(const uint32_t *slots, size_t mask_bits, const mask *of, uint32_t item) {
  size_t i = moon_mix64(item) & mask_bits;
  while (slots[i] && of->item[slots[i] - 1] != item) i = (i + 1) & mask_bits;
  return i;
}

/* Carries a mask's bits over to today's order by a small hash table from item to old position. */
static const uint8_t *reorder(lua_State *L, moon_host *host, mask *old) {
  size_t cap = 16;
  while (cap < 2 * old->n) cap *= 2;
  uint32_t *slots = lua_newuserdatauv(L, cap * sizeof *slots, 0);
  memset(slots, 0, cap * sizeof *slots);
  for (size_t i = 0; i < old->n; i++) slots[slot_of(slots, cap - 1, old, old->item[i])] = (uint32_t)i + 1;
  mask *fresh = new_mask(L, host);
  for (size_t i = 0; i < fresh->n; i++) {
    uint32_t at = slots[slot_of(slots, cap - 1, old, fresh->item[i])];
    if (at) fresh->bits[i] = old->bits[at - 1];
  }
  return fresh->bits;
}

const uint8_t *moon_lua_mask_bits(lua_State *L, moon_host *host, int index) {
  mask *self = check_mask(L, host, index);
  return self->order == host->order ? self->bits : reorder(L, host, self);
}

/* ---- operators */

static int mask_and(lua_State *L) {
  moon_host *host = moon_host_of(L);
  const uint8_t *a = moon_lua_mask_bits(L, host, 1), *b = moon_lua_mask_bits(L, host, 2);
  uint8_t *out = moon_lua_mask_new(L, host);
  for (size_t i = 0; i < host->slate->n; i++) out[i] = a[i] & b[i];
  return 1;
}

static int mask_or(lua_State *L) {
  moon_host *host = moon_host_of(L);
  const uint8_t *a = moon_lua_mask_bits(L, host, 1), *b = moon_lua_mask_bits(L, host, 2);
  uint8_t *out = moon_lua_mask_new(L, host);
  for (size_t i = 0; i < host->slate->n; i++) out[i] = a[i] | b[i];
  return 1;
}

static int mask_not(lua_State *L) {
  moon_host *host = moon_host_of(L);
  const uint8_t *a = moon_lua_mask_bits(L, host, 1);
  uint8_t *out = moon_lua_mask_new(L, host);
  for (size_t i = 0; i < host->slate->n; i++) out[i] = !a[i];
  return 1;
}

static int mask_count(lua_State *L) {
  moon_host *host = moon_host_of(L);
  const uint8_t *a = moon_lua_mask_bits(L, host, 1);
  lua_Integer count = 0;
  for (size_t i = 0; i < host->slate->n; i++) count += a[i];
  lua_pushinteger(L, count);
  return 1;
}

static int mask_tostring(lua_State *L) {
  mask *self = luaL_checkudata(L, 1, MASK_TYPE);
  lua_pushfstring(L, "mask over %I items", (LUAI_UACINT)self->n);
  return 1;
}

void moon_lua_mask_register(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__band", mask_and}, {"__bor", mask_or}, {"__bnot", mask_not}, {"__tostring", mask_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"count", mask_count}, {NULL, NULL}};
  luaL_newmetatable(L, MASK_TYPE);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  moon_sandbox_protect(L, "mask");
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
