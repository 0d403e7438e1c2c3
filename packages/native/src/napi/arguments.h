// Arguments that come from JavaScript. Every reader returns false with an exception pending when the argument is of
// the wrong type (TypeError, ERR_INVALID_ARG_TYPE) or out of range (RangeError, ERR_OUT_OF_RANGE).
#pragma once

#include <napi.h>

#include <cstdint>
#include <limits>
#include <string>

namespace sheaf::napi {

inline constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kMaxUint8 = std::numeric_limits<uint8_t>::max();
inline constexpr int64_t kMaxUint16 = std::numeric_limits<uint16_t>::max();
inline constexpr int64_t kMaxUint32 = std::numeric_limits<uint32_t>::max();
inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

/** Memory of a JavaScript typed array; valid until control returns to JavaScript. */
struct Bytes {
  uint8_t* data = nullptr;
  uint32_t size = 0;
};

/** Throws a TypeError with code ERR_INVALID_ARG_TYPE. */
void ThrowType(Napi::Env env, const char* name, const char* expected);
/** Throws a RangeError with code ERR_OUT_OF_RANGE. */
void ThrowRange(Napi::Env env, const char* name, const std::string& expected);
/** Throws an Error with this code. */
void ThrowState(Napi::Env env, const char* code, const char* message);

bool ReadInteger(Napi::Value value, const char* name, int64_t min, int64_t max, int64_t* out);
bool ReadPowerOfTwo(Napi::Value value, const char* name, int64_t min, int64_t max, uint32_t* out);
bool ReadString(Napi::Value value, const char* name, std::string* out);
bool ReadBytes(Napi::Value value, const char* name, Bytes* out);
bool ReadFunction(Napi::Value value, const char* name, Napi::Function* out);

/** Reads an integer that fits `T` and lies within `min` and `max`. */
template <typename T>
bool Read(Napi::Value value, const char* name, int64_t min, int64_t max, T* out) {
  int64_t wide = 0;
  if (!ReadInteger(value, name, min, max, &wide)) return false;
  *out = static_cast<T>(wide);
  return true;
}

}  // namespace sheaf::napi
