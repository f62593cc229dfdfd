/* account.c - how much memory tensors take, counted and bounded.
 *
 * One number goes up and down by compare-and-swap, so that two threads cannot both take the last bytes. The account is held by
 * its owner's handle and by every charge; whoever lets go last frees it, so tensors may outlive their owner. */
#include <stdatomic.h>

#include "tensor/tensor.h"

struct moon_account {
  atomic_size_t holders; /* the handle, and each charge that was not released */
  atomic_size_t used, peak, limit;
};

moon_status moon_account_new(size_t limit, moon_account **out) {
  *out = moon_alloc(sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "no memory for an account");
  atomic_init(&(*out)->holders, 1);
  atomic_init(&(*out)->used, 0);
  atomic_init(&(*out)->peak, 0);
  atomic_init(&(*out)->limit, limit);
  return moon_ok();
}

static void let_go(moon_account *account) {
  if (atomic_fetch_sub_explicit(&account->holders, 1, memory_order_acq_rel) == 1) moon_free(account);
}

void moon_account_free(moon_account *account) {
  if (account) let_go(account);
}

moon_status moon_account_charge(moon_account *account, size_t bytes) {
  if (!account) return moon_ok();
  size_t used = atomic_load(&account->used);
  do {
    size_t limit = atomic_load(&account->limit), most = limit ? limit : SIZE_MAX;
    if (used > most || bytes > most - used)
      return moon_fail(MOON_ENOMEM, "%zu bytes asked, %zu of at most %zu in use", bytes, used, most);
  } while (!atomic_compare_exchange_weak(&account->used, &used, used + bytes));
  atomic_fetch_add_explicit(&account->holders, 1, memory_order_relaxed);
  size_t peak = atomic_load(&account->peak);
  while (peak < used + bytes && !atomic_compare_exchange_weak(&account->peak, &peak, used + bytes)) continue;
  return moon_ok();
}

void moon_account_release(moon_account *account, size_t bytes) {
  if (!account) return;
  atomic_fetch_sub(&account->used, bytes);
  let_go(account);
}

static _Thread_local moon_account *here;

moon_account *moon_account_here(void) { return here; }

moon_account *moon_account_enter(moon_account *account) {
  moon_account *before = here;
  here = account;
  return before;
}

size_t moon_account_used(const moon_account *account) { return atomic_load(&account->used); }
size_t moon_account_peak(const moon_account *account) { return atomic_load(&account->peak); }
size_t moon_account_limit(const moon_account *account) { return atomic_load(&account->limit); }
void moon_account_set_limit(moon_account *account, size_t limit) { atomic_store(&account->limit, limit); }
