#include "kernels/conformance/ops_conformance_test.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/reference/reference_ops.h"

namespace blockserve {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr uint8_t kGuardByte = 0xa5;

TensorView ViewOf(void* data, DType dtype, const std::vector<int64_t>& shape) {
  switch (shape.size()) {
    case 1:
      return TensorView(data, dtype, {shape[0]});
    case 2:
      return TensorView(data, dtype, {shape[0], shape[1]});
    case 3:
      return TensorView(data, dtype, {shape[0], shape[1], shape[2]});
    case 4:
      return TensorView(data, dtype, {shape[0], shape[1], shape[2], shape[3]});
    default:
      CHECK_EQ(shape.size(), 5u);
      return TensorView(data, dtype,
                        {shape[0], shape[1], shape[2], shape[3], shape[4]});
  }
}

int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

std::vector<BFloat16> ToBFloat16s(const std::vector<float>& values) {
  std::vector<BFloat16> rounded(values.size());
  std::transform(values.begin(), values.end(), rounded.begin(),
                 [](float value) { return ToBFloat16(value); });
  return rounded;
}

}  // namespace

void OpsConformanceTest::SetUp() {
  sides_ = {GetParam().create(), CreateReferenceOps(DType::kFloat32)};
  for (const auto& side : sides_) {
    ASSERT_NE(side, nullptr);
    ASSERT_TRUE(side->Reserve(kLimits).ok());
  }
}

void OpsConformanceTest::TearDown() {
  for (const Guard& guard : guards_) {
    const std::vector<uint8_t> bytes = [&] {
      std::vector<uint8_t> copy(kGuardBytes);
      guard.ops->CopyToHost(guard.data, copy.data(), copy.size());
      EXPECT_TRUE(guard.ops->Synchronize().ok());
      return copy;
    }();
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) {
      return byte == kGuardByte;
    })) << "written past the end of a tensor";
  }
}

std::vector<float> OpsConformanceTest::Random(int64_t count, float scale) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = scale * (static_cast<float>(RandomInt(1 << 24)) * 0x1p-23f - 1.0f);
  }
  return RoundedToT(std::move(values));
}

int OpsConformanceTest::RandomInt(int end) {
  // Knuth's 64-bit linear congruential generator; the high bits are good.
  random_state_ = random_state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<int>((random_state_ >> 33) % end);
}

std::vector<float> OpsConformanceTest::RoundedToT(std::vector<float> values) {
  if (is_bf16()) {
    for (float& value : values) value = ToFloat(ToBFloat16(value));
  }
  return values;
}

void* OpsConformanceTest::Allocate(Ops& ops, size_t num_bytes) {
  absl::StatusOr<Buffer> buffer = ops.Allocate(num_bytes + kGuardBytes);
  CHECK(buffer.ok()) << buffer.status();
  char* data = static_cast<char*>(buffer->data());
  const std::vector<uint8_t> guard(kGuardBytes, kGuardByte);
  ops.CopyToDevice(guard.data(), data + num_bytes, guard.size());
  guards_.push_back({&ops, data + num_bytes});
  buffers_.push_back(*std::move(buffer));
  return data;
}

TensorView OpsConformanceTest::MakeSide(int side, DType dtype,
                                        const Shape& shape, const void* data,
                                        Room room) {
  Ops& ops = *sides_[side];
  Shape padded = shape;
  if (room == Room::kPaddedRows) padded[0] = ops.PaddedRows(shape[0]);
  const size_t num_bytes = CountOf(shape) * SizeOf(dtype);
  const size_t room_bytes = CountOf(padded) * SizeOf(dtype);
  void* memory = Allocate(ops, room_bytes);
  // All ones: NaN in fp32 and bf16. Nothing may depend on rows of padding.
  const std::vector<uint8_t> nan(room_bytes, 0xff);
  ops.CopyToDevice(nan.data(), memory, room_bytes);
  ops.CopyToDevice(data, memory, num_bytes);
  return ViewOf(memory, dtype, shape);
}

Twin OpsConformanceTest::Make(const Shape& shape,
                              const std::vector<float>& values, Room room,
                              bool as_t) {
  CHECK_EQ(static_cast<int64_t>(values.size()), CountOf(shape));
  Twin twin;
  if (as_t && is_bf16()) {
    twin.views[0] =
        MakeSide(0, DType::kBFloat16, shape, ToBFloat16s(values).data(), room);
  } else {
    twin.views[0] = MakeSide(0, DType::kFloat32, shape, values.data(), room);
  }
  twin.views[1] = MakeSide(1, DType::kFloat32, shape, values.data(), room);
  return twin;
}

Twin OpsConformanceTest::MakeT(const Shape& shape,
                               const std::vector<float>& values, Room room) {
  return Make(shape, values, room, /*as_t=*/true);
}

Twin OpsConformanceTest::MakeFloat(const Shape& shape,
                                   const std::vector<float>& values,
                                   Room room) {
  return Make(shape, values, room, /*as_t=*/false);
}

Twin OpsConformanceTest::MakeInts(const Shape& shape,
                                  const std::vector<int32_t>& values) {
  CHECK_EQ(static_cast<int64_t>(values.size()), CountOf(shape));
  Twin twin;
  for (int side = 0; side < 2; ++side) {
    twin.views[side] =
        MakeSide(side, DType::kInt32, shape, values.data(), Room::kExact);
  }
  return twin;
}

Twin OpsConformanceTest::MakeBytes(const Shape& shape,
                                   const std::vector<uint8_t>& values) {
  CHECK_EQ(static_cast<int64_t>(values.size()), CountOf(shape));
  Twin twin;
  for (int side = 0; side < 2; ++side) {
    twin.views[side] =
        MakeSide(side, DType::kUint8, shape, values.data(), Room::kExact);
  }
  return twin;
}

Twin OpsConformanceTest::OutputT(const Shape& shape, Room room) {
  return MakeT(shape,
               std::vector<float>(CountOf(shape),
                                  std::numeric_limits<float>::quiet_NaN()),
               room);
}

Twin OpsConformanceTest::OutputFloat(const Shape& shape, Room room) {
  return MakeFloat(shape,
                   std::vector<float>(CountOf(shape),
                                      std::numeric_limits<float>::quiet_NaN()),
                   room);
}

TwinMatrix OpsConformanceTest::Pack(const std::vector<float>& weight,
                                    int64_t out_dim, int64_t in_dim) {
  CHECK_EQ(static_cast<int64_t>(weight.size()), out_dim * in_dim);
  TwinMatrix twin;
  for (int side = 0; side < 2; ++side) {
    // A copy that is gone afterwards: PackMatrix must not hold on to it.
    const std::vector<float> copy = weight;
    absl::StatusOr<std::unique_ptr<Matrix>> matrix =
        sides_[side]->PackMatrix(copy.data(), out_dim, in_dim);
    CHECK(matrix.ok()) << matrix.status();
    twin.matrices[side] = *std::move(matrix);
  }
  return twin;
}

std::array<void*, 2> OpsConformanceTest::Raw(
    const std::function<size_t(Ops&)>& num_bytes) {
  return {Allocate(*sides_[0], num_bytes(*sides_[0])),
          Allocate(*sides_[1], num_bytes(*sides_[1]))};
}

void OpsConformanceTest::OnBothSides(
    const std::function<void(const Side&)>& run) {
  for (int side = 0; side < 2; ++side) {
    run(Side(*sides_[side], side));
    const absl::Status status = sides_[side]->Synchronize();
    ASSERT_TRUE(status.ok()) << status;
  }
}

std::vector<float> OpsConformanceTest::Read(const Twin& twin, int side) {
  const TensorView& view = twin.views[side];
  const std::vector<uint8_t> bytes = [&] {
    std::vector<uint8_t> copy(view.num_bytes());
    sides_[side]->CopyToHost(view.data(), copy.data(), copy.size());
    EXPECT_TRUE(sides_[side]->Synchronize().ok());
    return copy;
  }();
  std::vector<float> values(view.num_elements());
  for (size_t i = 0; i < values.size(); ++i) {
    if (view.dtype() == DType::kBFloat16) {
      BFloat16 element;
      std::memcpy(&element, &bytes[i * sizeof(element)], sizeof(element));
      values[i] = ToFloat(element);
    } else {
      CHECK(view.dtype() == DType::kFloat32);
      std::memcpy(&values[i], &bytes[i * sizeof(float)], sizeof(float));
    }
  }
  return values;
}

std::vector<uint8_t> OpsConformanceTest::ReadBytes(const void* data,
                                                   size_t num_bytes) {
  std::vector<uint8_t> bytes(num_bytes);
  ops().CopyToHost(data, bytes.data(), num_bytes);
  EXPECT_TRUE(ops().Synchronize().ok());
  return bytes;
}

void OpsConformanceTest::ExpectNear(const Twin& twin, Tolerance tolerance) {
  ExpectValues(twin, Read(twin, 1), tolerance);
}

void OpsConformanceTest::ExpectValues(const Twin& twin,
                                      const std::vector<float>& expected,
                                      Tolerance tolerance) {
  const std::vector<float> values = Read(twin, 0);
  ASSERT_EQ(values.size(), expected.size());
  if (twin.views[0].dtype() == DType::kBFloat16) {
    tolerance.relative += 0x1p-8;
  }
  int num_wrong = 0;
  size_t first_wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double error = std::abs(static_cast<double>(values[i]) - expected[i]);
    const double limit =
        tolerance.absolute + tolerance.relative * std::abs(expected[i]);
    // So written that a NaN on either side is wrong.
    if (error <= limit || values[i] == expected[i]) continue;
    if (num_wrong++ == 0) first_wrong = i;
  }
  EXPECT_EQ(num_wrong, 0) << "of " << values.size() << ", first at "
                          << first_wrong << ": got " << values[first_wrong]
                          << ", want " << expected[first_wrong];
}

}  // namespace blockserve
