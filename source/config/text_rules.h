// What the texts of a configuration must look like, each kind once: a header name, an address, a
// regular expression ...
#pragma once

#include <string>
#include <string_view>

namespace sluice {

struct TextRule {
  std::string_view type;  // as the documentation calls it
  // Says what is wrong and what was expected, or "" when all is well. May rewrite the value to the
  // one spelling the rest of the program sees (addresses, domains).
  std::string (*check)(std::string& value);
};

extern const TextRule kAnyText;
extern const TextRule kName;             // not empty, printable, at most 256 bytes
extern const TextRule kListenerAddress;  // port 0: the kernel chooses one
extern const TextRule kAdminAddress;     // as a listener's, or "off"
extern const TextRule kEndpointAddress;  // with a port
extern const TextRule kDomain;           // "example.com", "*.example.com:8443", "*"; in lower case
extern const TextRule kPath;             // of a URL, normalised, without its query
extern const TextRule kPathPrefix;       // the same, but the last segment may be part of one
extern const TextRule kRewrite;          // a path to put in place of another, or empty
extern const TextRule kRedirectPath;     // with a query if need be, or empty
extern const TextRule kRegex;            // RE2
extern const TextRule kMethod;
extern const TextRule kFieldName;        // a token (RFC 9110 5.1)
extern const TextRule kEditedFieldName;  // the same, but not one that the codecs own
extern const TextRule kFieldValue;       // RFC 9110 5.5: no CR, LF, NUL
extern const TextRule kFieldTemplate;    // the same with placeholders: %CLIENT_SUBJECT%
extern const TextRule kQueryName;
extern const TextRule kScheme;         // http or https
extern const TextRule kHost;           // host[:port] of a URL
extern const TextRule kVia;            // received-by of Via (RFC 9110 7.6.3), or empty
extern const TextRule kAccessLogPath;  // "off", "stdout" or a file
extern const TextRule kAccessLogText;  // as proxy/access_log_format.h compiles it; or empty
extern const TextRule kLogPath;        // "stderr", "stdout" or a file
extern const TextRule kFile;           // a path, or empty
extern const TextRule kNeededFile;     // a path
extern const TextRule kServerName;  // of a certificate: "example.com", "*.example.com"; lower case
extern const TextRule kPeerName;    // of TLS's peer: a host name or an IP address, or empty
extern const TextRule kDnsTarget;   // a host name, with a port but for SRV records
extern const TextRule kStatuses;    // "503", "500-599"
extern const TextRule kGrpcStatusName;  // "unavailable"
extern const TextRule kCookieName;      // a token (RFC 6265 4.1.1)
extern const TextRule kCookiePath;      // of its attribute Path
extern const TextRule kCiphers;         // names between colons, or empty

}  // namespace sluice
