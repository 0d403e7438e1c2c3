const assert = require('node:assert')

/** Whoever loads a package, in whichever way, gets the same classes and functions. */
async function compare(name) {
  const required = require(name)
  const imported = await import(name)
  assert(Object.keys(required).length > 0, `${name} exports nothing`)
  for (const [key, value] of Object.entries(required)) {
    if (key === '__esModule' || key === 'module.exports') continue
    assert(imported[key] === value, `${name} has two ${key}`)
  }
  for (const key of Object.keys(imported)) {
    if (key === 'module.exports') continue
    assert(key in required, `${name} hides ${key} from require()`)
  }
}

const packages = [
  '@sheaf/native', '@sheaf/ring', '@sheaf/ring/net', '@sheaf/ring/testing', '@sheaf/tcp', '@sheaf/tcp/net',
  '@sheaf/udp', '@sheaf/udp/dgram', '@sheaf/unix', '@sheaf/unix/net', '@sheaf/unix/unix-dgram',
]
void Promise.all(packages.map(compare))
