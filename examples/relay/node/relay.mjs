// Adds the name of the function to the body, and calls the next function if there is one.
import { serve } from "nightcore";

const next = process.env.NEXT;

serve({
  RelayNode: (req) => {
    const body = `${req.text()} > Node`;
    return next ? req.call(next, body) : body;
  },
});
