const assert = require('node:assert')

/** Whoever loads a package, in whichever way, gets the same classes and functions. */
async function compare(name) {
  const required = require(name)
  const imported = await import(name)
  assert(Object.keys(required).length > 0, `${name} exports nothing`)
  for (const [key, value] of Object.entries(required)) {
    if (key === '__esModule') continue
    assert(imported[key] === value, `${name} has two ${key}`)
  }
  for (const key of Object.keys(imported)) {
    if (key === 'default' || key === 'module.exports') continue
    assert(key in required, `${name} hides ${key} from require()`)
  }
}

void Promise.all(['@sheaf/native', '@sheaf/ring', '@sheaf/ring/testing', '@sheaf/tcp', '@sheaf/unix'].map(compare))
