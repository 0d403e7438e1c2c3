const { connect, defaultRing, listen } = require('@sheaf/tcp')

const { echo } = require('./exchange.cjs')

void echo({ connect, defaultRing, listen })
