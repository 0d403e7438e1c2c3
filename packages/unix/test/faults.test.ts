import { testFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { faultFamily } from './fault-family'

testFaults('Unix streams', faultFamily, { describe, it })
