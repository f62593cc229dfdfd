/* wire.c - bytes as the format's messages, once it is known that they are few and lie flat.
 *
 * protobuf-c calls itself for each message within a message, as deep as the bytes say, and a few bytes become a structure. So they are
 * walked first, by the descriptors that it goes by: whatever is nested deeper than a graph of plain nodes, or has more fields than a net
 * of some thousand layers, is not unpacked. */
#include "onnx/wire.h"

enum { MOST_BYTES = 256 << 20, MOST_FIELDS = 50000, MOST_DEPTH = 10 };

typedef struct walker {
  const uint8_t *at;
  size_t fields;
} walker;

static bool read_varint(walker *w, const uint8_t *end, uint64_t *value) {
  *value = 0;
  for (int shift = 0; shift < 64 && w->at < end; shift += 7) {
    uint8_t byte = *w->at++;
    *value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

/* What a field holds, where it holds messages; NULL otherwise. */
static const ProtobufCMessageDescriptor *message_of(const ProtobufCMessageDescriptor *of, uint64_t id) {
  for (unsigned i = 0; i < of->n_fields; i++)
    if (of->fields[i].id == id) return of->fields[i].type == PROTOBUF_C_TYPE_MESSAGE ? of->fields[i].descriptor : NULL;
  return NULL;
}

static const moon_code broken = MOON_EFORMAT;

static moon_code walk(walker *w, const uint8_t *end, const ProtobufCMessageDescriptor *of, int depth) {
  if (depth > MOST_DEPTH) return MOON_ELIMIT;
  while (w->at < end) {
    uint64_t tag, size;
    if (!read_varint(w, end, &tag)) return broken;
    if (++w->fields > MOST_FIELDS) return MOON_ELIMIT;
    switch (tag & 7) {
      case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(w, end, &size)) return broken;
        continue;
      case PROTOBUF_C_WIRE_TYPE_64BIT:
        size = 8;
        break;
      case PROTOBUF_C_WIRE_TYPE_32BIT:
        size = 4;
        break;
      case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(w, end, &size)) return broken;
        break;
      default:
        return broken;
    }
    if (size > (size_t)(end - w->at)) return broken;
    const ProtobufCMessageDescriptor *inner = (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ? message_of(of, tag >> 3) : NULL;
    const uint8_t *stop = w->at + size;
    moon_code code = inner ? walk(w, stop, inner, depth + 1) : MOON_OK;
    if (code) return code;
    w->at = stop;
  }
  return MOON_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------- */

static void *take(void *failed, size_t bytes) {
  void *memory = moon_alloc(bytes ? bytes : 1);
  if (!memory && failed) *(bool *)failed = true;
  return memory;
}

static void give(void *failed, void *memory) {
  (void)failed;
  moon_free(memory);
}

moon_status onnx_read(const char *bytes, size_t n, Onnx__ModelProto **out) {
  walker w = {.at = (const uint8_t *)bytes};
  bool failed = false;
  ProtobufCAllocator memory = {take, give, &failed};
  *out = NULL;
  if (n > MOST_BYTES) return moon_fail(MOON_ELIMIT, "the file is %zu bytes; at most %d are read", n, MOST_BYTES);
  moon_code code = n ? walk(&w, w.at + n, &onnx__model_proto__descriptor, 0) : broken;
  if (code == MOON_ELIMIT) return moon_fail(code, "there is more in it, or deeper within each other, than a chain of layers has");
  if (!code) *out = onnx__model_proto__unpack(&memory, n, (const uint8_t *)bytes);
  if (failed) return moon_fail(MOON_ENOMEM, "no memory to read an ONNX file of %zu bytes", n);
  return *out ? moon_ok() : moon_fail(MOON_EFORMAT, "these bytes are not an ONNX file");
}

void onnx_read_free(Onnx__ModelProto *model) {
  ProtobufCAllocator memory = {take, give, NULL};
  if (model) onnx__model_proto__free_unpacked(model, &memory);
}
