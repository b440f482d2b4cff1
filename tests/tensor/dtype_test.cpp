#include "tensor/dtype.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/ops/op_table.h"

namespace dcl::tensor {
namespace {

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

struct Rounding {
  const char* name;
  std::uint32_t from;  // float32
  std::uint16_t to;    // bfloat16
};

TEST(BFloat16, RoundsToNearestEven) {
  const Rounding rows[] = {
      {"one", 0x3F800000, 0x3F80},
      {"below half", 0x3F807FFF, 0x3F80},
      {"tie to even, down", 0x3F808000, 0x3F80},
      {"above half", 0x3F808001, 0x3F81},
      {"tie to even, up", 0x3F818000, 0x3F82},
      {"carry into the exponent", 0x3FFF8000, 0x4000},
      {"negative tie", 0xBF808000, 0xBF80},
      {"negative above half", 0xBF808001, 0xBF81},
      {"minus zero", 0x80000000, 0x8000},
      {"smallest subnormal", 0x00000001, 0x0000},
      {"subnormal tie", 0x00018000, 0x0002},
      {"largest that stays finite", 0x7F7F7FFF, 0x7F7F},
      {"overflow to infinity", 0x7F7F8000, 0x7F80},
      {"infinity", 0x7F800000, 0x7F80},
      {"minus infinity", 0xFF800000, 0xFF80},
  };
  for (const auto& row : rows) EXPECT_EQ(bfloat16(from_bits(row.from)).bits, row.to) << row.name;
}

TEST(BFloat16, NanStaysNan) {
  // Quiet, signalling, with a payload in the lower half only, and one that rounding would carry to -0.
  for (const std::uint32_t bits : {0x7FC00000U, 0x7F800001U, 0x7F80FFFFU, 0xFFFFFFFFU})
    EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(from_bits(bits))))) << std::hex << bits;
}

TEST(BFloat16, EveryValueSurvivesTheWayThroughFloat) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bfloat16 x;
    x.bits = static_cast<std::uint16_t>(bits);
    const auto value = static_cast<float>(x);
    if (!std::isnan(value)) {
      ASSERT_EQ(bfloat16(value).bits, bits);
    }
  }
}

TEST(DType, SizesNamesAndTypesAgree) {
  EXPECT_EQ(size_of(DType::float32), 4);
  EXPECT_EQ(size_of(DType::float64), 8);
  EXPECT_EQ(size_of(DType::bfloat16), 2);
  EXPECT_EQ(size_of(DType::int64), 8);
  EXPECT_EQ(size_of(DType::uint8), 1);
  for (const DType type : {DType::float32, DType::float64, DType::bfloat16, DType::int64, DType::uint8}) {
    dispatch_any(type, "test", [&]<class T>() {
      EXPECT_EQ(dtype_of<T>, type);
      EXPECT_EQ(static_cast<std::int64_t>(sizeof(T)), size_of(type));
    });
    EXPECT_EQ(is_floating(type), type != DType::int64 && type != DType::uint8) << name_of(type);
  }
}

TEST(DType, DispatchFloatTakesFloatAndDoubleOnly) {
  EXPECT_EQ(dispatch_float(DType::float32, "relu", []<class T>() { return sizeof(T); }), 4U);
  EXPECT_EQ(dispatch_float(DType::float64, "relu", []<class T>() { return sizeof(T); }), 8U);
  for (const DType type : {DType::bfloat16, DType::int64, DType::uint8})
    dcl::test::expect_error([&] { dispatch_float(type, "relu", []<class T>() {}); },
                            {"relu: expected float32 or float64, got ", name_of(type)});
}

}  // namespace
}  // namespace dcl::tensor
