import { connect, listen } from '@sheaf/tcp'

/** Compiled as a module of either kind: what the shipped declarations promise must type-check, and hold. */
async function echo(): Promise<void> {
  const server = await listen({ host: '127.0.0.1', port: 0 }, {
    data(transport, chunk) { transport.write(chunk) },
    end(transport) { transport.end() },
  })
  const text = await new Promise<string>((resolve, reject) => {
    let received = ''
    connect({ host: '127.0.0.1', port: server.address.port }, {
      open(transport) {
        const accepted: boolean = transport.write('a sheaf is a bundle', 'utf8')
        if (accepted) transport.end()
      },
      data(_transport, chunk: Buffer) { received += chunk.toString('utf8') },
      close(_transport, error) {
        if (error === undefined) resolve(received)
        else reject(error)
      },
    }).catch(reject)
  })
  await server.close()
  if (text !== 'a sheaf is a bundle') throw new Error(`echoed: ${text}`)
}

void echo()
