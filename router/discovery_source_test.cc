#include "router/discovery_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "absl/status/status.h"

namespace blockserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FileDiscoveryTest : public testing::Test {
 protected:
  void Write(const std::string& text, const std::string& suffix = "") {
    std::ofstream(path_ + suffix, std::ios::trunc) << text;
  }

  const std::string path_ = testing::TempDir() + "/workers";
  std::unique_ptr<DiscoverySource> source_ =
      CreateFileDiscovery(path_, absl::Milliseconds(250));
};

TEST_F(FileDiscoveryTest, FollowsChangesAndRenames) {
  Write("a:1\n");
  EXPECT_THAT(*source_->Poll(), ElementsAre("a:1"));
  Write("a:1\nb:2\n");
  EXPECT_THAT(*source_->Poll(), ElementsAre("a:1", "b:2"));
  // Same size, same second: no time stamp would tell.
  Write("a:1\nb:3\n");
  EXPECT_THAT(*source_->Poll(), ElementsAre("a:1", "b:3"));
  Write("c:1\n", ".new");
  ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
  EXPECT_THAT(*source_->Poll(), ElementsAre("c:1"));
  Write("");
  EXPECT_THAT(*source_->Poll(), IsEmpty());
}

TEST_F(FileDiscoveryTest, NamesFileAndLineOfWhatIsWrong) {
  Write("a:1\noops\n");
  EXPECT_THAT(source_->Poll().status().message(),
              AllOf(HasSubstr(path_), HasSubstr("line 2"), HasSubstr("oops")));
  std::remove(path_.c_str());
  EXPECT_THAT(source_->Poll().status().message(),
              AllOf(HasSubstr(path_), HasSubstr("cannot be read")));
  Write(std::string(1 << 20, '#'));
  EXPECT_THAT(source_->Poll().status().message(), HasSubstr("bytes expected"));
}

TEST_F(FileDiscoveryTest, DirectoryIsAnError) {
  const auto source =
      CreateFileDiscovery(testing::TempDir(), absl::Milliseconds(250));
  EXPECT_FALSE(source->Poll().ok());
}

TEST(DnsDiscoveryTest, TakesAllAddressesInOneOrder) {
  std::vector<std::string> answer = {"10.0.0.2", "10.0.0.1", "10.0.0.2"};
  const auto source = CreateDnsDiscovery("groups.svc:50051", absl::Seconds(5),
                                         [&](const std::string& host) {
                                           EXPECT_EQ(host, "groups.svc");
                                           return answer;
                                         });
  EXPECT_THAT(*source->Poll(), ElementsAre("10.0.0.1:50051", "10.0.0.2:50051"));
  answer = {"fd00::1"};
  EXPECT_THAT(*source->Poll(), ElementsAre("[fd00::1]:50051"));
}

TEST(DnsDiscoveryTest, NoAnswerIsAnErrorNotAnEmptyList) {
  auto source = CreateDnsDiscovery(
      "groups.svc:50051", absl::Seconds(5),
      [](const std::string&) { return std::vector<std::string>(); });
  EXPECT_FALSE(source->Poll().ok());
  source = CreateDnsDiscovery(
      "groups.svc:50051", absl::Seconds(5), [](const std::string&) {
        return absl::UnavailableError("the name server is down");
      });
  EXPECT_EQ(source->Poll().status().message(), "the name server is down");
}

TEST(DnsDiscoveryTest, AsksTheSystem) {
  EXPECT_THAT(*ResolveHost("127.0.0.1"), ElementsAre("127.0.0.1"));
  EXPECT_FALSE(ResolveHost("no-such-host.invalid").ok());
}

}  // namespace
}  // namespace blockserve
