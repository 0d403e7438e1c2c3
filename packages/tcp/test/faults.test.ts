import { testFaults } from '@sheaf/ring/testing'
import { describe, it } from 'vitest'
import { faultFamily } from './fault-family'

testFaults('TCP', faultFamily, { describe, it })
