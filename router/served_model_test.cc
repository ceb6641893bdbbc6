#include "router/served_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace blockserve {
namespace {

worker::v1::GetIdentityResponse Identity() {
  worker::v1::GetIdentityResponse identity;
  identity.set_model_name("m");
  identity.set_block_length(4);
  identity.set_vocab_size(100);
  identity.set_context_length(64);
  identity.set_dtype("fp32");
  identity.set_protocol_version(kWorkerProtocolVersion);
  return identity;
}

TEST(ServedModelTest, CountsBlocksRoundedUp) {
  const auto model = ServedModel::FromIdentity(Identity());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->NumBlocks(0), 0);
  EXPECT_EQ(model->NumBlocks(1), 1);
  EXPECT_EQ(model->NumBlocks(4), 1);
  EXPECT_EQ(model->NumBlocks(5), 2);
}

TEST(ServedModelTest, RefusesAnotherProtocolVersion) {
  auto identity = Identity();
  identity.set_protocol_version(kWorkerProtocolVersion + 1);
  const auto model = ServedModel::FromIdentity(identity);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(model.status().message()),
              testing::HasSubstr("version 1 expected, got 2"));
}

TEST(ServedModelTest, RefusesSizesThatCannotBe) {
  auto identity = Identity();
  identity.set_block_length(0);
  EXPECT_EQ(ServedModel::FromIdentity(identity).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ServedModelTest, DtypeDoesNotMakeAnotherModel) {
  auto identity = Identity();
  const auto model = *ServedModel::FromIdentity(identity);
  identity.set_dtype("bf16");
  EXPECT_TRUE(model.SameModel(*ServedModel::FromIdentity(identity)));
  identity.set_context_length(128);
  EXPECT_FALSE(model.SameModel(*ServedModel::FromIdentity(identity)));
}

}  // namespace
}  // namespace blockserve
