// What every backend must do, written once: TEST_P's over this fixture, each
// comparing the backend under test with the reference backend in fp32.
//
// A backend's own test (cpu_test.cc) links the library :suite and defines
// BackendCases().
#ifndef BLOCKSERVE_KERNELS_CONFORMANCE_OPS_CONFORMANCE_TEST_H_
#define BLOCKSERVE_KERNELS_CONFORMANCE_OPS_CONFORMANCE_TEST_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/api/ops.h"

namespace blockserve {

struct BackendCase {
  std::string name;  // letters, digits and _; "cpu_bf16_avx2"
  std::function<std::unique_ptr<Ops>()> create;
};

inline void PrintTo(const BackendCase& backend, std::ostream* out) {
  *out << backend.name;
}

// What a test binary is run over; each binary defines it once.
std::vector<BackendCase> BackendCases();

inline std::string NameOfCase(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name;
}

// |got - want| <= absolute + relative * |want|. For elements stored as bf16
// 2^-8 is added to `relative`: half a unit in the last place for the rounding,
// as much again for a value that other rounding errors push over a tie.
struct Tolerance {
  double absolute = 0.0;
  double relative = 0.0;
};

// A tensor of the backend under test (side 0) and its twin in the reference
// backend (side 1), where T is float.
struct Twin {
  std::array<TensorView, 2> views;
};

struct TwinMatrix {
  std::array<std::unique_ptr<Matrix>, 2> matrices;
};

// One of the two backends, and its side of each twin.
class Side {
 public:
  Side(Ops& ops, int index) : ops_(ops), index_(index) {}

  Ops* operator->() const { return &ops_; }
  Ops& ops() const { return ops_; }
  int index() const { return index_; }
  TensorView operator()(const Twin& twin) const { return twin.views[index_]; }
  const Matrix* operator()(const TwinMatrix& twin) const {
    return twin.matrices[index_].get();
  }

 private:
  Ops& ops_;
  int index_;
};

class OpsConformanceTest : public testing::TestWithParam<BackendCase> {
 protected:
  using Shape = std::vector<int64_t>;
  // An activation of a Linear needs memory for PaddedRows rows.
  enum class Room { kExact, kPaddedRows };

  static constexpr OpsLimits kLimits = {
      .max_rows = 640, .max_sample_rows = 512, .vocab_size = 6000};

  void SetUp() override;
  // Fails if anything was written past the end of a tensor.
  void TearDown() override;

  Ops& ops() { return *sides_[0]; }
  DType dtype() { return ops().dtype(); }
  bool is_bf16() { return dtype() == DType::kBFloat16; }

  // --- values -------------------------------------------------------------
  // Uniform in [-scale, scale), rounded to T so that both backends read the
  // same numbers. The sequence is the same in every run of a test.
  std::vector<float> Random(int64_t count, float scale = 1.0f);
  int RandomInt(int end);  // in [0, end)
  std::vector<float> RoundedToT(std::vector<float> values);

  // --- tensors, owned by the fixture ---------------------------------------
  Twin MakeT(const Shape& shape, const std::vector<float>& values,
             Room room = Room::kExact);
  Twin MakeFloat(const Shape& shape, const std::vector<float>& values,
                 Room room = Room::kExact);
  Twin MakeInts(const Shape& shape, const std::vector<int32_t>& values);
  Twin MakeBytes(const Shape& shape, const std::vector<uint8_t>& values);
  // To be written: full of NaN, which no comparison lets pass.
  Twin OutputT(const Shape& shape, Room room = Room::kExact);
  Twin OutputFloat(const Shape& shape, Room room = Room::kExact);
  TwinMatrix Pack(const std::vector<float>& weight, int64_t out_dim,
                  int64_t in_dim);
  // Raw zeroed memory, num_bytes(ops) bytes on each side.
  std::array<void*, 2> Raw(const std::function<size_t(Ops&)>& num_bytes);

  // --- running and comparing -----------------------------------------------
  // Calls `run` for the backend under test and for the reference.
  void OnBothSides(const std::function<void(const Side&)>& run);
  std::vector<float> Read(const Twin& twin, int side);
  std::vector<uint8_t> ReadBytes(const void* data, size_t num_bytes);
  // The backend under test against the reference.
  void ExpectNear(const Twin& twin, Tolerance tolerance);
  // The backend under test against what the test says.
  void ExpectValues(const Twin& twin, const std::vector<float>& expected,
                    Tolerance tolerance);

 private:
  struct Guard {
    Ops* ops = nullptr;
    char* data = nullptr;
  };

  void* Allocate(Ops& ops, size_t num_bytes);
  Twin Make(const Shape& shape, const std::vector<float>& values, Room room,
            bool as_t);
  TensorView MakeSide(int side, DType dtype, const Shape& shape,
                      const void* data, Room room);

  std::array<std::unique_ptr<Ops>, 2> sides_;
  std::vector<Buffer> buffers_;
  std::vector<Guard> guards_;
  uint64_t random_state_ = 1;
};

}  // namespace blockserve

#endif  // BLOCKSERVE_KERNELS_CONFORMANCE_OPS_CONFORMANCE_TEST_H_
