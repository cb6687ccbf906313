#include "sluice/tls_info.h"

namespace sluice {

const TlsPeerCertificate& TlsInfo::peer() const {
  static const TlsPeerCertificate none;
  return certificate == nullptr ? none : *certificate;
}

}  // namespace sluice
