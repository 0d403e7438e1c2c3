import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from './program'

const registered = ['--require', '@sheaf/tcp/register', '--input-type=commonjs']

const begin = (childFlags: readonly string[]): string => `
  const net = require('net'), { once } = require('events'), { fork } = require('child_process')
  const child = fork(${JSON.stringify(join(import.meta.dirname, 'fixtures/takes-handles.cjs'))},
    { execArgv: ${JSON.stringify(childFlags)} })
  const descriptors = () => require('fs').readdirSync('/proc/self/fd').length
  const listen = async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return server.address().port
  }
  const ask = async (port, question) => {
    const socket = net.connect(port, '127.0.0.1')
    if (question !== undefined) socket.write(question)
    let answer = ''
    for await (const chunk of socket) answer += chunk
    return answer
  }
  const end = async () => {
    child.disconnect()
    console.log('child exits with', ...await once(child, 'exit'))
  }
`

describe.each([
  ['with Sheaf', ['--require', '@sheaf/tcp/register']],
  ['without', []],
])('to a child %s', (_name, childFlags) => {
  it('a socket is sent, with what comes on it from then on', async () => {
    expect(await run(`${begin(childFlags)}
      const server = net.createServer({ pauseOnConnect: true }, (socket) => {
        socket.write('parent, ')
        child.send('socket', socket)
        console.log(socket._handle)
      })
      ;(async () => {
        const port = await listen(server)
        const before = descriptors()
        for (let count = 0; count < 3; count++) console.log(await ask(port, 'hello'))
        // The next one is sent when the child has said that it has the last.
        while (descriptors() > before || server._connections !== 0) await new Promise(setImmediate)
        server.close()
        await end()
      })()`, registered)).toEqual({
      code: 0, errors: '', output: `${'null\nparent, child got hello\n'.repeat(3)}child exits with 0 null\n`,
    })
  })

  it('a server is shared with it, until each closes it', async () => {
    expect(await run(`${begin(childFlags)}
      ;(async () => {
        const server = net.createServer((socket) => socket.end('parent'))
        const port = await listen(server)
        child.send('server', server)
        await once(child, 'message')
        const seen = new Set()
        while (seen.size < 2) seen.add(await ask(port))
        console.log([...seen].sort().join(' '))
        server.close()
        await once(server, 'close')
        console.log(await ask(port))
        await end()
      })()`, registered)).toEqual({ code: 0, errors: '', output: 'child parent\nchild\nchild exits with 0 null\n' })
  })
})

it('a socket that is to stay open goes on here, too', async () => {
  expect(await run(`${begin([])}
    const { readdirSync, readlinkSync } = require('fs')
    const sockets = () => readdirSync('/proc/self/fd').filter((fd) => {
      try { return readlinkSync('/proc/self/fd/' + fd).startsWith('socket:') } catch { return false }
    }).length
    const server = net.createServer({ pauseOnConnect: true }, (socket) => {
      const before = sockets()
      socket.write('parent ')
      child.send('shared', socket, { keepOpen: true }, (error) => {
        console.log('sent', error, socket.destroyed, sockets() - before)
      })
      child.once('message', () => socket.end('parent again'))
    })
    ;(async () => {
      console.log(await ask(await listen(server)))
      server.close()
      await end()
    })()`, registered)).toEqual({
    code: 0, errors: '', output: 'sent null false 0\nparent child parent again\nchild exits with 0 null\n',
  })
})

it('a socket of which more has come than was told is closed, and the child is told that there is none', async () => {
  expect(await run(`${begin([])}
    const { defaultRing } = require('@sheaf/ring')
    const server = net.createServer((socket) => {
      socket.once('data', (data) => {
        client.write('more')
        // It arrives while this is told.
        defaultRing().sendWritten()
        child.send('socket?', socket, (error) => console.log('sent', error))
        console.log(String(data), socket.destroyed)
      })
    })
    let client
    ;(async () => {
      client = net.connect(await listen(server), '127.0.0.1')
      client.on('error', () => undefined).write('told')
      const [[message]] = await Promise.all([once(child, 'message'), once(client, 'close')])
      console.log(message)
      server.close()
      await end()
    })()`, registered)).toEqual({
    code: 0, errors: '', output: 'told true\nsent null\na socket: false\nchild exits with 0 null\n',
  })
})

it('what is not sent after all is the program\'s to close', async () => {
  expect(await run(`${begin([])}
    const sockets = []
    let closed = 0
    const server = net.createServer({ pauseOnConnect: true }, (socket) => {
      sockets.push(socket)
      if (sockets.length < 4) return
      const [shared, ...others] = sockets
      try {
        child.send({ toItself: 1n }, shared, { keepOpen: true })
      } catch (error) {
        console.log(error.name)
      }
      // The first is on its way when it ends, the others wait for that.
      child.kill('SIGKILL')
      for (const socket of others) child.send('socket', socket)
      child.once('exit', () => setTimeout(async () => {
        console.log(others.map(({ _handle }) => _handle !== null).join())
        for (const socket of sockets) socket.destroy()
        // That on its way is nobody's: Node keeps it.
        while (closed < 3) await new Promise(setImmediate)
        process.exit()
      }, 50))
    })
    ;(async () => {
      const port = await listen(server)
      for (let count = 0; count < 4; count++) {
        net.connect(port, '127.0.0.1').on('error', () => undefined).on('close', () => closed++).resume()
      }
    })()`, registered)).toEqual({ code: 0, errors: '', output: 'TypeError\nfalse,true,true\n' })
})

it('without the registration Node refuses it', async () => {
  expect(await run(`${begin([])}
    const server = require('@sheaf/tcp/net').createServer()
    ;(async () => {
      await listen(server)
      try {
        child.send('server', server)
      } catch (error) {
        console.log(error.code)
      }
      server.close()
      await end()
    })()`, ['--input-type=commonjs'])).toEqual({
    code: 0, errors: '', output: 'ERR_INVALID_HANDLE_TYPE\nchild exits with 0 null\n',
  })
})
