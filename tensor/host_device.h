// For functions that run on the host and on the device.
#pragma once

#ifdef __CUDACC__
#define DCL_HOST_DEVICE __host__ __device__
#else
#define DCL_HOST_DEVICE
#endif
