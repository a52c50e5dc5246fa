/* Generated SBE (Simple Binary Encoding) message codec */
#ifndef _TIDEPOOL_SBE_DISCOVERY_DISCOVERYSTATUS_CXX_H_
#define _TIDEPOOL_SBE_DISCOVERY_DISCOVERYSTATUS_CXX_H_

#if !defined(__STDC_LIMIT_MACROS)
#  define __STDC_LIMIT_MACROS 1
#endif

#include <cstdint>
#include <iomanip>
#include <limits>
#include <ostream>
#include <stdexcept>
#include <sstream>
#include <string>

#define SBE_NULLVALUE_INT8 (std::numeric_limits<std::int8_t>::min)()
#define SBE_NULLVALUE_INT16 (std::numeric_limits<std::int16_t>::min)()
#define SBE_NULLVALUE_INT32 (std::numeric_limits<std::int32_t>::min)()
#define SBE_NULLVALUE_INT64 (std::numeric_limits<std::int64_t>::min)()
#define SBE_NULLVALUE_UINT8 (std::numeric_limits<std::uint8_t>::max)()
#define SBE_NULLVALUE_UINT16 (std::numeric_limits<std::uint16_t>::max)()
#define SBE_NULLVALUE_UINT32 (std::numeric_limits<std::uint32_t>::max)()
#define SBE_NULLVALUE_UINT64 (std::numeric_limits<std::uint64_t>::max)()

namespace tidepool {
namespace sbe {
namespace discovery {

class DiscoveryStatus
{
public:
    enum Value
    {
        OK = static_cast<std::uint8_t>(1),
        NOT_FOUND = static_cast<std::uint8_t>(2),
        ERROR = static_cast<std::uint8_t>(3),
        SBE_UNKNOWN = static_cast<std::uint8_t>(255),
        NULL_VALUE = static_cast<std::uint8_t>(255)
    };

    static DiscoveryStatus::Value get(const std::uint8_t value)
    {
        switch (value)
        {
            case static_cast<std::uint8_t>(1): return OK;
            case static_cast<std::uint8_t>(2): return NOT_FOUND;
            case static_cast<std::uint8_t>(3): return ERROR;
            case static_cast<std::uint8_t>(255): return NULL_VALUE;
        }

        return SBE_UNKNOWN;
    }

    static const char *c_str(const DiscoveryStatus::Value value)
    {
        switch (value)
        {
            case OK: return "OK";
            case NOT_FOUND: return "NOT_FOUND";
            case ERROR: return "ERROR";
            case NULL_VALUE: return "NULL_VALUE";
        }

        return "SBE_UNKNOWN";
    }

    template<typename CharT, typename Traits>
    friend std::basic_ostream<CharT, Traits> & operator << (
        std::basic_ostream<CharT, Traits> &os, DiscoveryStatus::Value m)
    {
        return os << DiscoveryStatus::c_str(m);
    }
};

}
}
}

#endif
