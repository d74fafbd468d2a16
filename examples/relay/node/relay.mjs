// A function that adds its name to the body and calls the next one, if there is one; the answer is the last one's.
import { serve } from "nightcore";

const next = process.env.NEXT;

serve({
  RelayNode: (req) => {
    const body = [req.body, " > Node"];
    return next ? req.call(next, body) : body;
  },
});
