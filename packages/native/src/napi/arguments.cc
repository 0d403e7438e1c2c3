#include "napi/arguments.h"

#include <cmath>

namespace sheaf::napi {

namespace {

template <typename ErrorType>
void Throw(Napi::Env env, const char* code, const std::string& message) {
  // Whatever is pending already (a getter of the caller's that threw) says more than we could.
  if (env.IsExceptionPending()) return;
  ErrorType error = ErrorType::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  error.ThrowAsJavaScriptException();
}

bool Has(Napi::Value value, const char* name, napi_valuetype type, const char* expected) {
  if (!value.IsEmpty() && value.Type() == type) return true;
  ThrowType(value.Env(), name, expected);
  return false;
}

}  // namespace

void ThrowType(Napi::Env env, const char* name, const char* expected) {
  Throw<Napi::TypeError>(env, "ERR_INVALID_ARG_TYPE", std::string("The \"") + name + "\" argument must be " + expected);
}

void ThrowRange(Napi::Env env, const char* name, const std::string& expected) {
  Throw<Napi::RangeError>(env, "ERR_OUT_OF_RANGE",
                          std::string("The value of \"") + name + "\" is out of range. It must be " + expected);
}

void ThrowState(Napi::Env env, const char* code, const char* message) {
  Throw<Napi::Error>(env, code, message);
}

bool ReadInteger(Napi::Value value, const char* name, int64_t min, int64_t max, int64_t* out) {
  if (!Has(value, name, napi_number, "of type number")) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (std::trunc(number) != number || number < static_cast<double>(min) || number > static_cast<double>(max)) {
    ThrowRange(value.Env(), name, "an integer >= " + std::to_string(min) + " && <= " + std::to_string(max));
    return false;
  }
  *out = static_cast<int64_t>(number);
  return true;
}

bool ReadPowerOfTwo(Napi::Value value, const char* name, int64_t min, int64_t max, uint32_t* out) {
  int64_t number = 0;
  if (!ReadInteger(value, name, min, max, &number)) return false;
  if ((number & (number - 1)) != 0) {
    ThrowRange(value.Env(), name, "a power of two");
    return false;
  }
  *out = static_cast<uint32_t>(number);
  return true;
}

bool ReadString(Napi::Value value, const char* name, std::string* out) {
  if (!Has(value, name, napi_string, "of type string")) return false;
  *out = value.As<Napi::String>().Utf8Value();
  return true;
}

bool ReadBytes(Napi::Value value, const char* name, Bytes* out) {
  if (value.IsEmpty() || !value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    ThrowType(value.Env(), name, "an instance of Uint8Array");
    return false;
  }
  // The view's own offset and length, not its buffer's: a pooled Buffer is a small window of a large one.
  auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() > static_cast<size_t>(kMaxInt32)) {
    ThrowRange(value.Env(), name, "at most 2147483647 bytes long");
    return false;
  }
  out->data = bytes.Data();
  out->size = static_cast<uint32_t>(bytes.ByteLength());
  return true;
}

bool ReadFunction(Napi::Value value, const char* name, Napi::Function* out) {
  if (!Has(value, name, napi_function, "of type function")) return false;
  *out = value.As<Napi::Function>();
  return true;
}

}  // namespace sheaf::napi
