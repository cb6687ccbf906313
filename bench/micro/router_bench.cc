// What routing costs a request: the smallest table, a large one, and the path before it.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/path.h"
#include "proxy/router.h"

namespace sluice {
namespace {

RouteConfig ToPrefix(std::string prefix) {
  RouteConfig route;
  route.match.path = std::move(prefix);
  route.clusters = {{"cluster", 1}};
  return route;
}

std::unique_ptr<const Router> Build(std::vector<std::string> domains,
                                    std::vector<RouteConfig> routes) {
  VirtualHost host;
  host.name = "host";
  host.domains = std::move(domains);
  host.routes = std::move(routes);
  return std::move(Router::Build({host}).value());
}

std::vector<RouteConfig> HundredRoutes() {
  std::vector<RouteConfig> routes;
  for (int i = 0; i < 100; ++i) routes.push_back(ToPrefix(fmt::format("/service-{:02}/", i)));
  return routes;
}

void FindLoop(benchmark::State& state, const Router& router, std::string_view path) {
  RequestHead head;
  head.scheme = "http";
  head.authority = "www.example.com:8080";
  head.path = path;
  for (auto _ : state) {
    benchmark::DoNotOptimize(head);
    benchmark::DoNotOptimize(router.Find(head));
  }
}

void FindSingleRoute(benchmark::State& state) {
  FindLoop(state, *Build({"*"}, {ToPrefix("/")}), "/index.html?a=b");
}
BENCHMARK(FindSingleRoute);

void FindLastOfHundred(benchmark::State& state) {
  FindLoop(state, *Build({"*"}, HundredRoutes()), "/service-99/index.html?a=b");
}
BENCHMARK(FindLastOfHundred);

void FindExactHost(benchmark::State& state) {
  FindLoop(state, *Build({"www.example.com"}, {ToPrefix("/")}), "/index.html?a=b");
}
BENCHMARK(FindExactHost);

void FindWildcardHost(benchmark::State& state) {
  FindLoop(state, *Build({"*.example.com"}, {ToPrefix("/")}), "/index.html?a=b");
}
BENCHMARK(FindWildcardHost);

void NormalizeLoop(benchmark::State& state, std::string_view path) {
  RequestHead head;
  for (auto _ : state) {
    head.arena.Reset();
    head.path = path;
    benchmark::DoNotOptimize(NormalizePath(head));
  }
}

void NormalizePlainPath(benchmark::State& state) {
  NormalizeLoop(state, "/assets/2026/index.html?version=12&lang=en");
}
BENCHMARK(NormalizePlainPath);

void NormalizeDotSegments(benchmark::State& state) {
  NormalizeLoop(state, "/assets/../%61ssets/./2026/index.html?version=12");
}
BENCHMARK(NormalizeDotSegments);

}  // namespace
}  // namespace sluice
