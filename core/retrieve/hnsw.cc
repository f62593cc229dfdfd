// hnsw.cc - see hnsw.h. The one C++ file: hnswlib is a header, and no exception of its leaves here.
//
// A vector has a slot, its number in the graph, and a label, the row. A removed slot has no label, which the library does not
// know of: to it all slots are alike, and so none is left without ways to the others.
#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <stdexcept>

#define NO_MANUAL_VECTORIZATION // its prefetches read past the lists; the distance is ours
#include <hnswlib/hnswlib.h>

#include "retrieve/hnsw.h"
extern "C" {
#include "data/bytes.h"
#include "retrieve/best.h"
float moon_dot(const float *a, const float *b, size_t dim);
size_t moon_bits_count(const uint64_t *bits, size_t rows);
}

namespace {

using slot_t = hnswlib::tableint;
constexpr size_t MAX_DIM = 65536, MAX_M = 256, MAX_EF = 65536, MAX_LEVEL = 60;

float distance(const void *a, const void *b, const void *dim) {
  return 1 - moon_dot(static_cast<const float *>(a), static_cast<const float *>(b), *static_cast<const size_t *>(dim));
}

struct Space : hnswlib::SpaceInterface<float> {
  size_t dim;
  explicit Space(size_t n) : dim(n) {}
  size_t get_data_size() override { return dim * sizeof(float); }
  hnswlib::DISTFUNC<float> get_dist_func() override { return distance; }
  void *get_dist_func_param() override { return &dim; }
};

struct Links {
  const slot_t *at;
  size_t n;
};

struct Graph : hnswlib::HierarchicalNSW<float> {
  using hnswlib::HierarchicalNSW<float>::HierarchicalNSW;

  const float *vector(slot_t slot) const { return reinterpret_cast<const float *>(getDataByInternalId(slot)); }
  uint32_t row(slot_t slot) const { return static_cast<uint32_t>(getExternalLabel(slot)); }
  Links links(slot_t slot, int level) const {
    hnswlib::linklistsizeint *list = get_linklist_at_level(slot, level);
    return {reinterpret_cast<slot_t *>(list + 1), getListCount(list)};
  }

  // As resizeIndex, but everything is there before anything is changed, so that a failure changes nothing.
  void grow(size_t capacity) {
    std::unique_ptr<hnswlib::VisitedListPool> pool(new hnswlib::VisitedListPool(1, static_cast<int>(capacity)));
    std::vector<std::mutex> locks(capacity);
    element_levels_.resize(capacity);
    void *links = realloc(linkLists_, capacity * sizeof *linkLists_);
    if (!links) throw std::bad_alloc();
    linkLists_ = static_cast<char **>(links);
    void *memory = realloc(data_level0_memory_, capacity * size_data_per_element_);
    if (!memory) throw std::bad_alloc();
    data_level0_memory_ = static_cast<char *>(memory);
    link_list_locks_.swap(locks);
    delete visited_list_pool_;
    visited_list_pool_ = pool.release();
    max_elements_ = capacity;
  }
};

} // namespace

struct moon_hnsw {
  Space space;
  Graph graph;
  uint64_t seed;
  bool broken = false; // memory ran out in the middle of an insert
  moon_hnsw(size_t dim, size_t capacity, size_t m, size_t ef, uint64_t seed_)
      : space(dim), graph(&space, capacity, m, ef), seed(seed_) {}
};

struct moon_hnsw_scratch {
  struct seen {
    float score;
    slot_t slot;
  };
  seen *ahead;     // [slots] heap of what is still to be looked around, the best at its root
  uint32_t *stamp; // [slots] of the last search that met it
  uint32_t *row;   // [ef] the best so far that may come out
  float *score;
  size_t ahead_cap, stamp_cap, row_cap, score_cap;
  uint32_t now;
};

namespace {

moon_status no_memory(size_t slots) { return moon_fail(MOON_ENOMEM, "hnsw: no memory for %zu vectors", slots); }

moon_status check_options(size_t dim, size_t m, size_t ef) {
  if (dim < 1 || dim > MAX_DIM) return moon_fail(MOON_EINVAL, "hnsw: dim must be from 1 to %zu, not %zu", MAX_DIM, dim);
  if (m < 2 || m > MAX_M) return moon_fail(MOON_EINVAL, "hnsw: m must be from 2 to %zu, not %zu", MAX_M, m);
  if (ef < 1 || ef > MAX_EF) return moon_fail(MOON_EINVAL, "hnsw: ef_construction must be from 1 to %zu, not %zu", MAX_EF, ef);
  return moon_ok();
}

void put_float(moon_buf *out, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  moon_put_u32(out, bits);
}

} // namespace

moon_status moon_hnsw_new(size_t dim, const moon_hnsw_options *options, moon_hnsw **out) {
  size_t m = options && options->m ? options->m : 16;
  size_t ef = options && options->ef_construction ? options->ef_construction : 200;
  size_t capacity = options && options->capacity ? options->capacity : 1024;
  MOON_TRY(check_options(dim, m, ef));
  if (capacity > INT32_MAX / 2) return moon_fail(MOON_EINVAL, "hnsw: %zu vectors are too many", capacity);
  try {
    *out = new moon_hnsw(dim, capacity, m, ef, options ? options->seed : 0);
    return moon_ok();
  } catch (const std::exception &) {
    return no_memory(capacity);
  }
}

void moon_hnsw_free(moon_hnsw *index) { delete index; }

size_t moon_hnsw_dim(const moon_hnsw *index) { return index->space.dim; }
size_t moon_hnsw_count(const moon_hnsw *index) { return index->graph.label_lookup_.size(); }
size_t moon_hnsw_removed(const moon_hnsw *index) { return index->graph.cur_element_count - moon_hnsw_count(index); }

size_t moon_hnsw_bytes(const moon_hnsw *index) {
  const Graph &g = index->graph;
  size_t upper = 0;
  for (size_t slot = 0; slot < g.cur_element_count; slot++) upper += g.element_levels_[slot] * g.size_links_per_element_;
  size_t each = g.size_data_per_element_ + sizeof(void *) + sizeof(std::mutex) + sizeof(int) + sizeof(hnswlib::vl_type);
  size_t found = g.label_lookup_.size() * 4 * sizeof(void *) + g.label_lookup_.bucket_count() * sizeof(void *);
  return sizeof *index + g.max_elements_ * each + upper + found + g.link_list_update_locks_.size() * sizeof(std::mutex);
}

// ---- rows in and out

namespace {

void forget(Graph &g, uint32_t row) {
  auto found = g.label_lookup_.find(row);
  if (found == g.label_lookup_.end()) return;
  g.setExternalLabel(found->second, MOON_NONE);
  g.label_lookup_.erase(found);
}

} // namespace

moon_status moon_hnsw_add(moon_hnsw *index, uint32_t row, const float *vector) {
  Graph &g = index->graph;
  if (row == MOON_NONE) return moon_fail(MOON_EINVAL, "hnsw: row %u stands for none", row);
  if (index->broken) return moon_fail(MOON_EINVAL, "hnsw: an insert found no memory; build the index anew");
  for (size_t i = 0; i < index->space.dim; i++)
    if (!std::isfinite(vector[i])) return moon_fail(MOON_EINVAL, "hnsw: row %u has a number that is not finite", row);
  size_t slot = g.cur_element_count;
  try {
    if (slot == g.max_elements_) {
      if (slot > INT32_MAX / 2) return moon_fail(MOON_EINVAL, "hnsw: %zu vectors are too many", slot);
      g.grow(2 * slot);
    }
  } catch (const std::exception &) {
    return no_memory(2 * slot);
  }
  try {
    forget(g, row);
    // The layer is drawn from the seed and the slot alone: an index that was saved and loaded goes on as if it had not been.
    g.level_generator_.seed(static_cast<uint32_t>(moon_mix64(index->seed ^ moon_mix64(slot + 1))));
    g.addPoint(vector, row);
    return moon_ok();
  } catch (const std::exception &) {
    index->broken = true;
    return no_memory(slot + 1);
  }
}

moon_status moon_hnsw_remove(moon_hnsw *index, uint32_t row) {
  if (index->graph.label_lookup_.find(row) == index->graph.label_lookup_.end())
    return moon_fail(MOON_ENOTFOUND, "hnsw: there is no row %u", row);
  forget(index->graph, row);
  return moon_ok();
}

// ---- search

moon_hnsw_scratch *moon_hnsw_scratch_new(void) {
  return static_cast<moon_hnsw_scratch *>(moon_calloc(1, sizeof(moon_hnsw_scratch)));
}

void moon_hnsw_scratch_free(moon_hnsw_scratch *s) {
  if (!s) return;
  moon_free(s->ahead);
  moon_free(s->stamp);
  moon_free(s->row);
  moon_free(s->score);
  moon_free(s);
}

namespace {

moon_status make_room(moon_hnsw_scratch *s, size_t slots, size_t ef) {
  size_t stamps = s->stamp_cap;
  MOON_TRY(moon_grow(&s->ahead, &s->ahead_cap, slots, sizeof *s->ahead));
  MOON_TRY(moon_grow(&s->stamp, &s->stamp_cap, slots, sizeof *s->stamp));
  memset(s->stamp + stamps, 0, (s->stamp_cap - stamps) * sizeof *s->stamp);
  MOON_TRY(moon_grow(&s->row, &s->row_cap, ef, sizeof *s->row));
  MOON_TRY(moon_grow(&s->score, &s->score_cap, ef, sizeof *s->score));
  if (++s->now == 0) { // stamps begin anew
    memset(s->stamp, 0, s->stamp_cap * sizeof *s->stamp);
    s->now = 1;
  }
  return moon_ok();
}

bool behind(const moon_hnsw_scratch::seen &a, const moon_hnsw_scratch::seen &b) {
  return a.score < b.score || (a.score == b.score && a.slot > b.slot);
}

struct Search {
  const Graph &graph;
  const float *query;
  size_t dim;
  const uint64_t *allowed;
  size_t rows;
  moon_hnsw_scratch *scratch;
  moon_best best; // of those that may come out
  size_t ahead = 0;

  float score(slot_t slot) const { return moon_dot(query, graph.vector(slot), dim); }

  bool may(uint32_t row) const {
    return row != MOON_NONE && (!allowed || (row < rows && (allowed[row / 64] >> row % 64 & 1)));
  }

  void meet(slot_t slot, float score) {
    if (best.n == best.cap && score < best.score[0]) return;
    scratch->ahead[ahead++] = {score, slot};
    std::push_heap(scratch->ahead, scratch->ahead + ahead, behind);
    if (may(graph.row(slot))) moon_best_offer(&best, graph.row(slot), score);
  }

  // From the top layer down, always to the best neighbour.
  slot_t descend() const {
    slot_t at = graph.enterpoint_node_;
    float mine = score(at);
    for (int level = graph.maxlevel_; level > 0; level--)
      for (bool moved = true; moved;) {
        Links links = graph.links(at, level);
        moved = false;
        for (size_t i = 0; i < links.n; i++) {
          float other = score(links.at[i]);
          if (other > mine) mine = other, at = links.at[i], moved = true;
        }
      }
    return at;
  }

  // In the lowest layer around the best that is known, until no way is left that is better than the worst that is kept.
  void walk() {
    slot_t start = descend();
    scratch->stamp[start] = scratch->now;
    meet(start, score(start));
    while (ahead) {
      moon_hnsw_scratch::seen next = scratch->ahead[0];
      if (best.n == best.cap && next.score < best.score[0]) break;
      std::pop_heap(scratch->ahead, scratch->ahead + ahead--, behind);
      Links links = graph.links(next.slot, 0);
      for (size_t i = 0; i < links.n; i++) __builtin_prefetch(graph.vector(links.at[i]));
      for (size_t i = 0; i < links.n; i++) {
        slot_t slot = links.at[i];
        if (scratch->stamp[slot] == scratch->now) continue;
        scratch->stamp[slot] = scratch->now;
        meet(slot, score(slot));
      }
    }
  }

  void look_at_each() {
    size_t words = rows / 64 + (rows % 64 != 0);
    for (size_t word = 0; word < words; word++)
      for (uint64_t bits = allowed[word]; bits; bits &= bits - 1) {
        size_t row = word * 64 + static_cast<size_t>(__builtin_ctzll(bits));
        if (row >= rows) return;
        auto found = graph.label_lookup_.find(row);
        if (found != graph.label_lookup_.end()) moon_best_offer(&best, static_cast<uint32_t>(row), score(found->second));
      }
  }

  // A walk scores about 8 vectors for each that it keeps, and of those only a part, few / slots, may come out: it meets 8 ef slots
  // / few in all, where looking at each takes `few`.
  bool few(size_t ef) const {
    if (!allowed) return false;
    double few = static_cast<double>(moon_bits_count(allowed, rows));
    return few * few <= 8.0 * static_cast<double>(ef) * static_cast<double>(graph.cur_element_count);
  }
};

} // namespace

moon_status moon_hnsw_search(const moon_hnsw *index, const float *query, size_t k, size_t ef, const uint64_t *allowed, size_t rows,
                             moon_hnsw_scratch *scratch, uint32_t *item, float *score, size_t *found) {
  const Graph &g = index->graph;
  size_t count = moon_hnsw_count(index);
  *found = 0;
  k = std::min(k, count);
  ef = std::min(std::max(k, ef), count);
  for (size_t i = 0; i < index->space.dim; i++)
    if (!std::isfinite(query[i])) return moon_fail(MOON_EINVAL, "hnsw: the query has a number that is not finite");
  if (!k) return moon_ok();
  MOON_TRY(make_room(scratch, g.cur_element_count, ef));
  Search search = {g, query, index->space.dim, allowed, rows, scratch, {scratch->row, scratch->score, nullptr, 0, ef}};
  if (search.few(ef)) search.look_at_each();
  else search.walk();
  moon_best_sort(&search.best);
  *found = std::min(k, search.best.n);
  std::copy_n(scratch->row, *found, item);
  std::copy_n(scratch->score, *found, score);
  return moon_ok();
}

// ---- bytes: magic, version, checksum (u64) and length (u64) of what follows; dim, m, ef_construction, slots, entry, top level,
// seed (u64); per slot its row, its level, its vector, and per level the number of its links and the links. All u32 where nothing
// else is said.

namespace {

constexpr uint32_t MAGIC = 0x574e5348u; // "HSNW"
constexpr size_t HEAD = 4 + 4 + 8 + 8;

void put_payload(const moon_hnsw *index, moon_buf *out) {
  const Graph &g = index->graph;
  const size_t head[] = {index->space.dim, g.M_, g.ef_construction_, g.cur_element_count, g.enterpoint_node_,
                         static_cast<uint32_t>(g.maxlevel_)};
  for (size_t value : head) moon_put_u32(out, static_cast<uint32_t>(value));
  moon_put_u64(out, index->seed);
  for (slot_t slot = 0; slot < g.cur_element_count; slot++) {
    moon_put_u32(out, g.row(slot));
    moon_put_u32(out, static_cast<uint32_t>(g.element_levels_[slot]));
    for (size_t i = 0; i < index->space.dim; i++) put_float(out, g.vector(slot)[i]);
    for (int level = 0; level <= g.element_levels_[slot]; level++) {
      Links links = g.links(slot, level);
      moon_put_u32(out, static_cast<uint32_t>(links.n));
      for (size_t i = 0; i < links.n; i++) moon_put_u32(out, links.at[i]);
    }
  }
}

moon_status damaged(size_t slot, const char *what) { return moon_fail(MOON_EFORMAT, "hnsw: vector %zu %s", slot, what); }

// One slot into the graph, which is as long as it says: nothing that it leads to is known yet, see check_links.
moon_status get_slot(moon_bytes *in, Graph &g, size_t dim, slot_t slot) {
  memset(g.data_level0_memory_ + slot * g.size_data_per_element_, 0, g.size_data_per_element_);
  uint32_t row = moon_get_u32(in), top = moon_get_u32(in);
  if (top > MAX_LEVEL || static_cast<int>(top) > g.maxlevel_) return damaged(slot, "is in a layer that there is not");
  if (top) {
    g.linkLists_[slot] = static_cast<char *>(calloc(top, g.size_links_per_element_));
    if (!g.linkLists_[slot]) throw std::bad_alloc();
  }
  g.element_levels_[slot] = static_cast<int>(top);
  g.cur_element_count = slot + 1; // from here on the graph frees it
  float *vector = reinterpret_cast<float *>(g.getDataByInternalId(slot));
  for (size_t i = 0; i < dim; i++) {
    uint32_t bits = moon_get_u32(in);
    memcpy(&vector[i], &bits, sizeof bits);
    if (!std::isfinite(vector[i])) return damaged(slot, "has a number that is not finite");
  }
  g.setExternalLabel(slot, row);
  if (row != MOON_NONE && !g.label_lookup_.emplace(row, slot).second) return damaged(slot, "is of a row that was there already");
  for (int level = 0; level <= static_cast<int>(top); level++) {
    hnswlib::linklistsizeint *list = g.get_linklist_at_level(slot, level);
    uint32_t n = moon_get_u32(in);
    if (n > (level ? g.maxM_ : g.maxM0_)) return damaged(slot, "has too many links");
    g.setListCount(list, static_cast<unsigned short>(n));
    for (uint32_t i = 0; i < n; i++) list[1 + i] = moon_get_u32(in);
  }
  return in->failed ? damaged(slot, "is cut off") : moon_ok();
}

// A search follows every link in its layer without asking.
moon_status check_links(const Graph &g) {
  size_t slots = g.cur_element_count;
  if (slots && (g.enterpoint_node_ >= slots || g.element_levels_[g.enterpoint_node_] != g.maxlevel_))
    return moon_fail(MOON_EFORMAT, "hnsw: the entry is not in the top layer");
  for (slot_t slot = 0; slot < slots; slot++)
    for (int level = 0; level <= g.element_levels_[slot]; level++) {
      Links links = g.links(slot, level);
      for (size_t i = 0; i < links.n; i++)
        if (links.at[i] >= slots || links.at[i] == slot || g.element_levels_[links.at[i]] < level)
          return damaged(slot, "has a link to nowhere");
    }
  return moon_ok();
}

moon_status get_payload(moon_bytes *in, std::unique_ptr<moon_hnsw> *out) {
  size_t dim = moon_get_u32(in), m = moon_get_u32(in), ef = moon_get_u32(in), slots = moon_get_u32(in);
  uint32_t entry = moon_get_u32(in), top = moon_get_u32(in);
  uint64_t seed = moon_get_u64(in);
  if (in->failed) return moon_fail(MOON_EFORMAT, "hnsw: cut off");
  moon_status status = check_options(dim, m, ef);
  if (!status.code && ef < m) // which no graph keeps
    status = moon_fail(MOON_EFORMAT, "hnsw: ef_construction is %zu, below m, which is %zu", ef, m);
  if (status.code) return moon_fail(MOON_EFORMAT, "%s", status.message);
  if (slots > moon_bytes_left(in) / (12 + 4 * dim)) // a lie is found before it is allocated
    return moon_fail(MOON_EFORMAT, "hnsw: %zu vectors in %zu bytes", slots, moon_bytes_left(in));
  if (slots ? top > MAX_LEVEL : entry != UINT32_MAX || top != UINT32_MAX)
    return moon_fail(MOON_EFORMAT, "hnsw: there is no layer %u", top);
  out->reset(new moon_hnsw(dim, std::max<size_t>(slots, 1), m, ef, seed));
  Graph &g = (*out)->graph;
  g.maxlevel_ = static_cast<int>(top);
  g.enterpoint_node_ = entry;
  for (slot_t slot = 0; slot < slots; slot++) MOON_TRY(get_slot(in, g, dim, slot));
  if (moon_bytes_left(in)) return moon_fail(MOON_EFORMAT, "hnsw: %zu bytes too many", moon_bytes_left(in));
  return check_links(g);
}

} // namespace

moon_status moon_hnsw_save(const moon_hnsw *index, moon_buf *out) {
  if (index->broken) return moon_fail(MOON_EINVAL, "hnsw: an insert found no memory; build the index anew");
  moon_buf payload = {};
  put_payload(index, &payload);
  moon_put_u32(out, MAGIC);
  moon_put_u32(out, 1);
  moon_put_u64(out, moon_hash(payload.data ? payload.data : "", payload.n));
  moon_put_u64(out, payload.n);
  moon_buf_add(out, payload.data, payload.n);
  bool failed = payload.failed || out->failed;
  moon_buf_free(&payload);
  return failed ? no_memory(index->graph.cur_element_count) : moon_ok();
}

moon_status moon_hnsw_load(const char *bytes, size_t n, moon_hnsw **out) {
  moon_bytes in = {bytes, n, 0, false};
  uint32_t magic = moon_get_u32(&in), version = moon_get_u32(&in);
  uint64_t sum = moon_get_u64(&in), length = moon_get_u64(&in);
  if (in.failed || magic != MAGIC) return moon_fail(MOON_EFORMAT, "hnsw: not in this format");
  if (version != 1) return moon_fail(MOON_EFORMAT, "hnsw: version %u, and this reads version 1", version);
  if (length != n - HEAD)
    return moon_fail(MOON_EFORMAT, "hnsw: %zu bytes, not %llu", n - HEAD, static_cast<unsigned long long>(length));
  if (moon_hash(bytes + HEAD, n - HEAD) != sum) return moon_fail(MOON_EFORMAT, "hnsw: damaged: the checksum does not fit");
  try {
    std::unique_ptr<moon_hnsw> index;
    MOON_TRY(get_payload(&in, &index));
    *out = index.release();
    return moon_ok();
  } catch (const std::exception &) {
    return no_memory(n / 4);
  }
}
