/* Generated SBE (Simple Binary Encoding) message codec */
#ifndef _TIDEPOOL_SBE_POOL_DTYPE_CXX_H_
#define _TIDEPOOL_SBE_POOL_DTYPE_CXX_H_

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
namespace pool {

class Dtype
{
public:
    enum Value
    {
        UNKNOWN = static_cast<std::int16_t>(0),
        UINT8 = static_cast<std::int16_t>(1),
        INT8 = static_cast<std::int16_t>(2),
        UINT16 = static_cast<std::int16_t>(3),
        INT16 = static_cast<std::int16_t>(4),
        UINT32 = static_cast<std::int16_t>(5),
        INT32 = static_cast<std::int16_t>(6),
        UINT64 = static_cast<std::int16_t>(7),
        INT64 = static_cast<std::int16_t>(8),
        FLOAT32 = static_cast<std::int16_t>(9),
        FLOAT64 = static_cast<std::int16_t>(10),
        BOOLEAN = static_cast<std::int16_t>(11),
        BYTES = static_cast<std::int16_t>(13),
        BIT = static_cast<std::int16_t>(14),
        SBE_UNKNOWN = static_cast<std::int16_t>(-32768),
        NULL_VALUE = static_cast<std::int16_t>(-32768)
    };

    static Dtype::Value get(const std::int16_t value)
    {
        switch (value)
        {
            case static_cast<std::int16_t>(0): return UNKNOWN;
            case static_cast<std::int16_t>(1): return UINT8;
            case static_cast<std::int16_t>(2): return INT8;
            case static_cast<std::int16_t>(3): return UINT16;
            case static_cast<std::int16_t>(4): return INT16;
            case static_cast<std::int16_t>(5): return UINT32;
            case static_cast<std::int16_t>(6): return INT32;
            case static_cast<std::int16_t>(7): return UINT64;
            case static_cast<std::int16_t>(8): return INT64;
            case static_cast<std::int16_t>(9): return FLOAT32;
            case static_cast<std::int16_t>(10): return FLOAT64;
            case static_cast<std::int16_t>(11): return BOOLEAN;
            case static_cast<std::int16_t>(13): return BYTES;
            case static_cast<std::int16_t>(14): return BIT;
            case static_cast<std::int16_t>(-32768): return NULL_VALUE;
        }

        return SBE_UNKNOWN;
    }

    static const char *c_str(const Dtype::Value value)
    {
        switch (value)
        {
            case UNKNOWN: return "UNKNOWN";
            case UINT8: return "UINT8";
            case INT8: return "INT8";
            case UINT16: return "UINT16";
            case INT16: return "INT16";
            case UINT32: return "UINT32";
            case INT32: return "INT32";
            case UINT64: return "UINT64";
            case INT64: return "INT64";
            case FLOAT32: return "FLOAT32";
            case FLOAT64: return "FLOAT64";
            case BOOLEAN: return "BOOLEAN";
            case BYTES: return "BYTES";
            case BIT: return "BIT";
            case NULL_VALUE: return "NULL_VALUE";
        }

        return "SBE_UNKNOWN";
    }

    template<typename CharT, typename Traits>
    friend std::basic_ostream<CharT, Traits> & operator << (
        std::basic_ostream<CharT, Traits> &os, Dtype::Value m)
    {
        return os << Dtype::c_str(m);
    }
};

}
}
}

#endif
