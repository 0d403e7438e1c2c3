{
  'variables': {
    # 1 for a build under AddressSanitizer and UndefinedBehaviorSanitizer: `npm run test:asan`.
    'sheaf_sanitize%': 0,
  },
  'targets': [
    {
      'target_name': 'sheaf_native',
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")', '../src'],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        # A worker is being terminated while it calls: what can't be thrown there any more must not end the process.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags!': ['-fexceptions'],
      'cflags_cc!': ['-fexceptions', '-std=gnu++17', '-std=gnu++20', '-std=c++17', '-O3'],
      'cflags_cc': [
        '-std=c++20', '-O2', '-fno-exceptions', '-fvisibility=hidden',
        '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-cast-function-type',
      ],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
        'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
        'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      },
      'msvs_settings': {'VCCLCompilerTool': {'AdditionalOptions': ['/std:c++20'], 'ExceptionHandling': 0}},
      'conditions': [
        ['OS=="linux"', {
          'defines': ['_GNU_SOURCE'],
          'sources': [
            '../src/kernel/exit_handler.cc',
            '../src/kernel/older_libraries.cc',
            '../src/kernel/owned_descriptors.cc',
            '../src/kernel/owned_files.cc',
            '../src/kernel/probe.cc',
            '../src/kernel/ring.cc',
            '../src/kernel/ring_setup.cc',
            '../src/kernel/system_calls.cc',
            '../src/loop/turn.cc',
            '../src/memory/region.cc',
            '../src/napi/addon.cc',
            '../src/napi/arguments.cc',
            '../src/napi/probe_object.cc',
            '../src/napi/region_object.cc',
            '../src/napi/ring_object.cc',
            '../src/napi/socket_calls.cc',
          ],
        }, {
          'sources': ['../src/napi/unavailable.cc'],
        }],
        ['OS=="linux" and sheaf_sanitize==1', {
          'cflags_cc': ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer', '-g', '-O1'],
          'cflags_cc!': ['-O2'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
      ],
    },
  ],
}
