"use strict";

const { serve } = require("./serve.js");
const { http, httpHandler } = require("./http.js");
const { call } = require("./process.js");
const { NightcoreError } = require("./errors.js");
const { HttpError, HttpStatusError } = require("./http-errors.js");
const { Answer, Reply } = require("./answer.js");
const { Metadata } = require("./metadata.js");

module.exports = {
  Answer,
  HttpError,
  HttpStatusError,
  Metadata,
  NightcoreError,
  Reply,
  call,
  http,
  httpHandler,
  serve,
};
