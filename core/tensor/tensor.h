/* tensor.h - room of core/tensor. The public part is include/moonshelf/tensor.h; this adds what only core sees. */
#ifndef MOON_TENSOR_ROOM_H
#define MOON_TENSOR_ROOM_H
#include "base/base.h"
#include "moonshelf/tensor.h"
#endif
