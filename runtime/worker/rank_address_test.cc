#include "runtime/worker/rank_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace blockserve {
namespace {

using ::testing::HasSubstr;

TEST(RankAddressTest, FindsAnInterfaceByNameOrAddress) {
  EXPECT_EQ(AddressOfInterface("lo").value_or(""), "127.0.0.1");
  EXPECT_EQ(AddressOfInterface("127.0.0.1").value_or(""), "127.0.0.1");
}

TEST(RankAddressTest, NamesWhatThereIs) {
  for (const char* interface : {"nosuch0", "192.0.2.1", ""}) {
    const absl::Status status = AddressOfInterface(interface).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("lo (127.0.0.1)"));
  }
}

TEST(RankAddressTest, FollowsTheRoute) {
  EXPECT_EQ(AddressTowards("127.0.0.1").value_or(""), "127.0.0.1");
  EXPECT_EQ(AddressTowards("localhost").value_or(""), "127.0.0.1");
  EXPECT_EQ(AddressTowards("no.such.host.invalid").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(RankAddressTest, ThePrimaryAddressIsOneOfThisHost) {
  EXPECT_TRUE(AddressOfInterface(PrimaryAddress()).ok());
}

}  // namespace
}  // namespace blockserve
