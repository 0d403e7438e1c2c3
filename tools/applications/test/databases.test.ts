import { describe, it } from 'vitest'
import { startMariadb } from '../servers/mariadb'
import { startMemcached } from '../servers/memcached'
import { findPostgres, startPostgres } from '../servers/postgres'
import { startRedis } from '../servers/redis'
import { findProgram } from '../servers/server'
import { application, expectDone, forTest, need, testTimeoutMs } from './support'

describe('clients of databases, unchanged', { timeout: testTimeoutMs }, () => {
  it('ioredis, CommonJS, registered with -r', async (context) => {
    need(context, 'redis-server', findProgram('redis-server'))
    const redis = await forTest(startRedis())
    await expectDone(application('ioredis.cjs', [redis.port], '-r'))
  })

  it('node-redis', async (context) => {
    need(context, 'redis-server', findProgram('redis-server'))
    const redis = await forTest(startRedis())
    await expectDone(application('node-redis.mjs', [redis.port]))
  })

  it('pg: a pool, and 100 MB by COPY in and out', async (context) => {
    need(context, 'postgresql', findPostgres())
    const postgres = await forTest(startPostgres())
    await expectDone(application('pg.mjs', [postgres.port]))
    await expectDone(application('pg-copy.mjs', [postgres.port]))
  })

  it('mysql2, with MariaDB', async (context) => {
    need(context, 'mariadbd', findProgram('mariadbd'))
    const mariadb = await forTest(startMariadb())
    await expectDone(application('mysql2.mjs', [mariadb.port]))
  })

  it('memjs', async (context) => {
    need(context, 'memcached', findProgram('memcached'))
    const memcached = await forTest(startMemcached())
    await expectDone(application('memjs.mjs', [memcached.port]))
  })
})
