#include "net/system_resolver.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace sluice {
namespace {

// Empty when it cannot be read.
std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// A lookup, with the resolver that it asks.
class SystemResolver::Kept final : public Lookup {
 public:
  Kept(std::shared_ptr<DnsResolver> resolver, std::unique_ptr<Lookup> lookup)
      : resolver_(std::move(resolver)), lookup_(std::move(lookup)) {}

 private:
  const std::shared_ptr<DnsResolver> resolver_;
  const std::unique_ptr<Lookup> lookup_;  // goes first
};

SystemResolver::SystemResolver(UvLoop& loop, DnsResolverOptions options)
    : loop_(loop), options_(std::move(options)), text_(TextOf(options_.system_file)) {}

Result<std::unique_ptr<SystemResolver>> SystemResolver::Create(UvLoop& loop,
                                                               DnsResolverOptions options) {
  std::unique_ptr<SystemResolver> resolver(new SystemResolver(loop, std::move(options)));
  if (auto opened = resolver->Open(); !opened) return tl::unexpected(opened.error());
  return resolver;
}

Result<void> SystemResolver::Open() {
  auto created = DnsResolver::Create(loop_, options_);
  if (!created) return tl::unexpected(created.error());
  current_ = std::move(*created);
  return {};
}

// A file that is missing for a moment, or that c-ares cannot use, leaves the servers of before.
void SystemResolver::UseFile() {
  std::string text = TextOf(options_.system_file);
  if (text.empty() || text == text_) return;
  text_ = std::move(text);
  if (auto opened = Open(); !opened) {
    LogEvent(Level::kWarning, "name_servers_unchanged",
             {{"file", options_.system_file}, {"reason", opened.error().message}});
  }
}

std::unique_ptr<Resolver::Lookup> SystemResolver::Resolve(
    const DnsQuestion& question, std::function<void(Result<DnsAnswer>)> answered) {
  UseFile();
  return std::make_unique<Kept>(current_, current_->Resolve(question, std::move(answered)));
}

}  // namespace sluice
