// What the programs of all protocols are made of: actors with random numbers and a log of their own, bytes that are
// sent in random pieces and received in random ways, and memory that is looked at again when all is over.
import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { Random } from '@sheaf/ring/testing'

export { delay, turn }

export function digest(...chunks) {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex').slice(0, 16)
}

/** What an error is known by, whichever way it is said. */
export function codeOf(error) {
  return error === null || error === undefined ? 'none' : error.code ?? error.message
}

/** A promise, and what settles it. */
export function promised() {
  let resolve
  const promise = new Promise((resolved) => { resolve = resolved })
  return { promise, resolve }
}

/** Resolves when one of the events has come, or never can any more. */
export function until(emitter, ...events) {
  if (emitter.destroyed === true) return Promise.resolve()
  return new Promise((resolve) => {
    const all = [...events, 'close']
    const told = () => {
      for (const event of all) emitter.off(event, told)
      resolve()
    }
    for (const event of all) emitter.on(event, told)
  })
}

const closings = new WeakMap()

/** Resolves when `close` has been told. */
export function closed(stream) {
  let closing = closings.get(stream)
  if (closing === undefined) {
    closing = stream.closed ? Promise.resolve() : new Promise((resolve) => { stream.once('close', () => resolve()) })
    closings.set(stream, closing)
  }
  return closing
}

/** Random choices of one who takes part. Nobody else's depend on them: what is done first is the kernel's choice. */
class Actor {
  #exchange
  #random
  name

  constructor(exchange, name, seed) {
    this.#exchange = exchange
    this.name = name
    this.#random = new Random(seed)
    // The first numbers of small seeds are alike.
    for (let count = 0; count < 8; count++) this.#random.below(2)
  }

  below(bound) {
    return this.#random.below(bound)
  }

  pick(...values) {
    return values[this.below(values.length)]
  }

  /** True once in so many times. */
  once(times) {
    return this.below(times) === 0
  }

  /** From none to `max`, small sizes as likely as large ones. */
  size(max) {
    return this.once(8) ? 0 : this.#random.size(max)
  }

  bytes(max) {
    const bytes = Buffer.alloc(this.size(max))
    const words = new Uint32Array(bytes.buffer, 0, bytes.byteLength >>> 2)
    let word = this.below(2 ** 32)
    for (let index = 0; index < words.length; index++) {
      words[index] = word = (Math.imul(word, 1664525) + 1013904223) | 0
    }
    return bytes
  }

  log(...values) {
    this.#exchange.log(this.name, ...values)
  }

  /** One whose choices are its own: this one's must not depend on how many of them there are. */
  fork(name = this.name) {
    return new Actor(this.#exchange, name, this.below(2 ** 32))
  }

  /**
   * Logs events as they come. What an emitter tells is in a log of its own, and what it tells of writing in another:
   * the order between those is often the kernel's.
   */
  watch(emitter, what, ...events) {
    void closed(emitter)
    for (const event of events) {
      emitter.on(event, (value) => {
        const detail = event === 'error' ? [codeOf(value)] : typeof value === 'boolean' ? [value] : []
        const parts = event === 'finish' ? [', writing'] : event === 'close' ? ['', ', writing'] : ['']
        for (const part of parts) this.#exchange.log(`${this.name}'s ${what}${part}`, event, ...detail)
      })
    }
    return emitter
  }

  /** A copy of `bytes` such as applications write, which stays as it is. */
  #piece(bytes) {
    const kind = this.pick('pooled', 'whole', 'part', 'shared', 'latin1', 'hex', 'base64', 'whole')
    if (kind === 'latin1' || kind === 'hex' || kind === 'base64') {
      if (bytes.byteLength <= 200_000) return [bytes.toString(kind), kind]
    }
    let piece
    if (kind === 'shared') {
      piece = Buffer.from(new SharedArrayBuffer(bytes.byteLength))
    } else if (kind === 'part') {
      piece = Buffer.alloc(bytes.byteLength + 200).subarray(100, 100 + bytes.byteLength)
    } else {
      piece = kind === 'pooled' ? Buffer.allocUnsafe(bytes.byteLength) : new Uint8Array(bytes.byteLength)
    }
    piece.set(bytes)
    return [piece]
  }

  /**
   * Writes all of `bytes`, in random pieces at random times. @param options.withLast ends with the last of them.
   * @returns whether all was called back without an error.
   */
  send(stream, bytes, options) {
    return this.fork().#send(stream, bytes, options)
  }

  async #send(stream, bytes, { end = true, withLast = this.once(2) } = {}) {
    const way = this.pick('at once', 'at once', 'drain', 'turns', 'cork', 'called back', 'delays')
    const most = Math.max(1, this.pick(bytes.byteLength, bytes.byteLength, 64 * 1024, 20_000, 1000))
    const least = Math.ceil(bytes.byteLength / 300)
    // Some write the next bytes to where they had the last ones.
    const reuses = this.once(3)
    let written = 0
    let called = 0
    let failed = 'none'
    let offset = 0
    while (offset < bytes.byteLength) {
      const count = Math.min(bytes.byteLength - offset, Math.max(least, 1 + this.below(most)))
      const part = bytes.subarray(offset, offset + count)
      const piece = this.#piece(part)
      offset += count
      if (!reuses) this.#exchange.keep(`${this.name} wrote`, piece[0], digest(part))
      if (end && withLast && offset === bytes.byteLength) {
        stream.end(...piece)
        break
      }
      if (stream.destroyed) break
      if (way === 'cork') stream.cork()
      const index = written++
      const done = promised()
      const room = stream.write(...piece, (error) => {
        if (reuses && typeof piece[0] !== 'string') piece[0].fill(0)
        if (error) failed = codeOf(error)
        else if (called++ !== index) failed = 'called back in another order'
        done.resolve()
      })
      if (way === 'cork' && this.once(3)) {
        while (stream.writableCorked > 0) stream.uncork()
        await turn()
      }
      if (way === 'drain' && !room) await until(stream, 'drain')
      if (way === 'turns' && this.once(3)) await turn()
      if (way === 'called back') await Promise.race([done.promise, closed(stream)])
      if (way === 'delays' && this.once(20)) await delay(1 + this.below(3))
    }
    while (stream.writableCorked > 0) stream.uncork()
    if (end && !stream.writableEnded) stream.end()
    return () => failed === 'none' && called !== written ? `${called} of ${written} called back` : failed
  }

  /** Sends up to so many bytes, at times a million, and receives all that comes; ends before or after that. */
  async converse(stream, max, { endsFirst }) {
    const received = this.receive(stream)
    const outcome = await this.send(stream, this.bytes(this.once(3) ? 1_000_000 : max), { end: endsFirst })
    this.log('received', await received)
    if (!endsFirst) stream.end()
    await closed(stream)
    this.log('sent', outcome())
  }

  /**
   * Receives all that there is, in a random way. @param options.whole of which it is to be the first part.
   * @param options.enough so many bytes, or more: leaves then.
   * @returns what it was: how much, and its digest.
   */
  receive(stream, options) {
    return this.fork().#receive(stream, options)
  }

  async #receive(stream, { whole, enough = Infinity, leave = () => stream.destroy() } = {}) {
    const hash = createHash('sha256')
    const chunks = []
    let size = 0
    let over = false
    const take = (chunk) => {
      if (over) return
      hash.update(chunk)
      chunks.push(chunk)
      size += chunk.byteLength
      if (size >= enough) leave()
    }
    const way = this.pick('flowing', 'flowing', 'slow', 'readable', 'small', 'iterate', 'pipe', 'late', 'delays')
    let ended = false
    let piped
    stream.once('end', () => { ended = true })
    const gone = until(stream, 'end', 'error')
    const rate = 2 + this.below(8)
    if (way === 'late') for (let turns = this.below(10); turns > 0; turns--) await turn()
    if (way === 'iterate') {
      try {
        for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
          take(chunk)
          if (this.once(rate)) await turn()
        }
      } catch {
        // Whoever watches the stream logs that.
      }
    } else if (way === 'readable' || way === 'small') {
      let pieces = 0
      stream.on('readable', () => {
        let chunk
        while ((chunk = (way === 'small' && pieces++ < 50 ? stream.read(rate) : null) ?? stream.read())) take(chunk)
      })
    } else if (way === 'pipe') {
      const slow = new Writable({
        highWaterMark: 1000 * rate,
        write: (chunk, _encoding, done) => {
          take(chunk)
          if (this.once(rate)) void turn().then(() => done())
          else done()
        },
      })
      piped = new Promise((resolve) => { slow.once('finish', resolve) })
      stream.pipe(slow)
    } else {
      let delays = 0
      stream.on('data', (chunk) => {
        take(chunk)
        const waits = way === 'slow' ? this.once(rate) : way === 'delays' && this.once(rate * 4) && delays++ < 5
        if (!waits) return
        stream.pause()
        void (way === 'slow' ? turn() : delay(1 + this.below(4))).then(() => stream.resume())
      })
    }
    await gone
    if (ended) await piped
    over = true
    const received = digest(...chunks)
    if (hash.digest('hex').slice(0, received.length) !== received) return 'what has been received changes'
    for (const chunk of chunks) this.#exchange.keep(`${this.name} received`, chunk, digest(chunk))
    if (whole !== undefined) {
      const prefix = digest(whole.subarray(0, size)) === received
      return prefix ? 'what was sent, as far as it came' : `${size} bytes that are not what was sent`
    }
    return `${ended ? 'all' : 'part'}: ${size} ${received}`
  }
}

/** One thing that a program does: its actors, what they have logged, and the memory that is theirs. */
export class Exchange {
  logs = {}
  #seed
  #kept = []
  #count = 0

  constructor(seed) {
    this.#seed = seed
  }

  actor(name) {
    return new Actor(this, name, Math.imul(this.#seed * 31 + ++this.#count, 0x9e3779b1))
  }

  log(who, ...values) {
    const log = this.logs[who] ??= []
    log.push(values.map((value) => typeof value === 'string' ? value : JSON.stringify(value)).join(' '))
  }

  /** Has `memory` looked at in the end. */
  keep(what, memory, expected) {
    this.#kept.push([what, memory, expected])
  }

  verify() {
    for (const [what, memory, expected] of this.#kept) {
      if (typeof memory !== 'string' && digest(memory) !== expected) this.log('memory', what, 'and it has changed')
    }
  }
}
