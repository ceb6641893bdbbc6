#include "runtime/serving/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/gauge.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  return fd;
}

// The answer to one HTTP request, head and body.
std::string Fetch(int port, const std::string& target) {
  const int fd = Connect(port);
  const std::string request =
      absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(send(fd, request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  ssize_t length = 0;
  while ((length = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(length));
  }
  close(fd);
  return answer;
}

class MetricsServerTest : public ::testing::Test {
 protected:
  MetricsServerTest()
      : gauge_(prometheus::BuildGauge()
                   .Name("blockserve_test")
                   .Help("A test.")
                   .Register(*registry_)
                   .Add({{"model_name", "demo"}})) {}

  std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  prometheus::Gauge& gauge_;
};

TEST_F(MetricsServerTest, SilentConnectionsKeepNoScraperOut) {
  const auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  std::vector<int> silent;
  for (int i = 0; i < 30; ++i) silent.push_back(Connect((*server)->port()));
  const absl::Time began = absl::Now();
  EXPECT_THAT(Fetch((*server)->port(), "/metrics"), StartsWith("HTTP/1.1 200"));
  // Two turns of the timeout; a scraper waits 10 s.
  EXPECT_LT(absl::Now() - began, absl::Seconds(5));
  for (const int fd : silent) close(fd);
}

TEST_F(MetricsServerTest, ServesTheRegistryAsItIsNow) {
  const auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_GT((*server)->port(), 0);
  gauge_.Set(3);
  std::string page = Fetch((*server)->port(), "/metrics");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(page, HasSubstr("# HELP blockserve_test A test.\n"));
  EXPECT_THAT(page, HasSubstr("blockserve_test{model_name=\"demo\"} 3\n"));
  gauge_.Set(4);
  page = Fetch((*server)->port(), "/metrics");
  EXPECT_THAT(page, HasSubstr("blockserve_test{model_name=\"demo\"} 4\n"));
}

TEST_F(MetricsServerTest, SetsGaugesBeforeEachScrape) {
  const auto server = MetricsServer::Start("127.0.0.1:0", registry_,
                                           [this] { gauge_.Increment(10); });
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(Fetch((*server)->port(), "/metrics"), HasSubstr("\"} 10\n"));
  EXPECT_THAT(Fetch((*server)->port(), "/metrics"), HasSubstr("\"} 20\n"));
}

TEST_F(MetricsServerTest, KnowsNoOtherPath) {
  const auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  for (const char* target : {"/", "/metricsx", "/../etc/passwd"}) {
    EXPECT_THAT(Fetch((*server)->port(), target), StartsWith("HTTP/1.1 404"))
        << target;
  }
}

TEST_F(MetricsServerTest, NamesATakenPort) {
  const auto server = MetricsServer::Start("127.0.0.1:0", registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = absl::StrCat("0.0.0.0:", (*server)->port());
  const auto second = MetricsServer::Start(address, registry_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(address));
  EXPECT_EQ(MetricsServer::Start("nonsense", registry_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace blockserve
