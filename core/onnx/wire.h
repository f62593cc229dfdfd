/* wire.h - a file that anybody may have made, as the format's messages. */
#ifndef MOON_ONNX_WIRE_H
#define MOON_ONNX_WIRE_H
#include <onnx.pb-c.h>

#include "base/base.h"

/* MOON_EFORMAT where the bytes are no such file, MOON_ELIMIT where it is larger or deeper than is read. */
moon_status onnx_read(const char *bytes, size_t n, Onnx__ModelProto **out);
void onnx_read_free(Onnx__ModelProto *model);

#endif
