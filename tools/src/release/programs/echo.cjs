const { connect, listen } = require('@sheaf/tcp')

const { echo } = require('./exchange.cjs')

void echo({ connect, listen })
