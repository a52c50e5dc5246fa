/* Generated SBE (Simple Binary Encoding) message codec */
#ifndef _TIDEPOOL_SBE_DRIVER_RESPONSECODE_CXX_H_
#define _TIDEPOOL_SBE_DRIVER_RESPONSECODE_CXX_H_

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
namespace driver {

class ResponseCode
{
public:
    enum Value
    {
        OK = INT32_C(0),
        UNSUPPORTED = INT32_C(1),
        INVALID_PARAMS = INT32_C(2),
        REJECTED = INT32_C(3),
        INTERNAL_ERROR = INT32_C(4),
        SBE_UNKNOWN = INT32_MIN,
        NULL_VALUE = INT32_MIN
    };

    static ResponseCode::Value get(const std::int32_t value)
    {
        switch (value)
        {
            case INT32_C(0): return OK;
            case INT32_C(1): return UNSUPPORTED;
            case INT32_C(2): return INVALID_PARAMS;
            case INT32_C(3): return REJECTED;
            case INT32_C(4): return INTERNAL_ERROR;
            case INT32_MIN: return NULL_VALUE;
        }

        return SBE_UNKNOWN;
    }

    static const char *c_str(const ResponseCode::Value value)
    {
        switch (value)
        {
            case OK: return "OK";
            case UNSUPPORTED: return "UNSUPPORTED";
            case INVALID_PARAMS: return "INVALID_PARAMS";
            case REJECTED: return "REJECTED";
            case INTERNAL_ERROR: return "INTERNAL_ERROR";
            case NULL_VALUE: return "NULL_VALUE";
        }

        return "SBE_UNKNOWN";
    }

    template<typename CharT, typename Traits>
    friend std::basic_ostream<CharT, Traits> & operator << (
        std::basic_ostream<CharT, Traits> &os, ResponseCode::Value m)
    {
        return os << ResponseCode::c_str(m);
    }
};

}
}
}

#endif
